"""`python -m worker`: one worker with its engine, until SIGTERM."""

from worker.main import main

if __name__ == "__main__":
    main()
