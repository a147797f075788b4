"""What is remembered: responses and conversations, hot in Redis and durable in the object store."""
