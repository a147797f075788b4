from dataclasses import fields, replace
from pathlib import Path

import pytest

from shared.settings import SettingError, Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.load({}) == Settings()
    assert Settings.load({item.metadata["env"]: " " for item in fields(Settings)}) == Settings()


def test_every_setting_is_named_and_explained() -> None:
    names = [item.metadata["env"] for item in fields(Settings)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("PUNA_") or name == "REDIS_URL" for name in names)
    assert all(item.metadata["help"].endswith(".") for item in fields(Settings))


def test_a_child_reads_what_its_parent_wrote() -> None:
    changed = replace(
        Settings(),
        **{"home": Path("/srv/puna"), "port": 0, "redis_url": "rediss://u:p@h:6379/1", "catalog": "s3://b/p"},
        **{"request_timeout_s": 0.25, "origins": ("https://a.example", "app://b"), "hosts": ("x",), "gpu_layers": 0},
    )
    for settings in (Settings(), changed):
        assert Settings.load(settings.environ()) == settings


def test_other_variables_are_not_read() -> None:
    assert Settings.load({"PUNA_PROT": "1", "PATH": "/bin", "puna_port": "2"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PUNA_PORT", " 8080 ", "port", 8080),
        ("PUNA_PORT", "0", "port", 0),
        ("PUNA_MODEL", "tiny", "models", ("tiny",)),
        ("PUNA_MODEL", "tiny", "model", "tiny"),
        ("PUNA_MODEL", "a:1, hf.co/b/c:q4,a:1", "models", ("a:1", "hf.co/b/c:q4")),
        ("PUNA_HOME", "~/x", "home", Path("~/x").expanduser()),
        ("PUNA_HOME", "x", "home", Path("x").absolute()),
        ("PUNA_GPU_LAYERS", "-1", "gpu_layers", -1),
        ("PUNA_REQUEST_TIMEOUT", "0.5", "request_timeout_s", 0.5),
        ("PUNA_ORIGINS", " https://a , ,https://b,", "origins", ("https://a", "https://b")),
        ("PUNA_LOG_LEVEL", "DEBUG", "log_level", "debug"),
    ],
)
def test_values_are_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.load({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PUNA_PORT", "-1"),
        ("PUNA_PORT", "http"),
        ("PUNA_PORT", "65536"),
        ("PUNA_SLOTS", "0"),
        ("PUNA_SLOTS", "1.5"),
        ("PUNA_QUEUE_MAX", "many"),
        ("PUNA_MAX_BODY", "6MB"),
        ("PUNA_REQUEST_TIMEOUT", "0"),
        ("PUNA_REQUEST_TIMEOUT", "-3"),
        ("PUNA_REQUEST_TIMEOUT", "nan"),
        ("PUNA_REQUEST_TIMEOUT", "inf"),
        ("PUNA_LOG_LEVEL", "loud"),
        ("PUNA_MODEL", " , "),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_s_name(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=name):
        Settings.load({name: text})


def test_the_catalog_is_under_home_unless_it_is_named() -> None:
    assert Settings.load({"PUNA_HOME": "/srv"}).catalog_url == "/srv/models"
    assert Settings.load({"PUNA_HOME": "/srv", "PUNA_CATALOG": "s3://b"}).catalog_url == "s3://b"


def test_a_secret_is_not_shown() -> None:
    key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    settings = Settings.load({"PUNA_STATE_KEY": key})
    assert settings.state_key == key
    assert key not in repr(settings)
    with pytest.raises(SettingError, match="PUNA_STATE_KEY") as caught:
        Settings.load({"PUNA_STATE_KEY": "hunter2"})
    assert "hunter2" not in caught.value.message
