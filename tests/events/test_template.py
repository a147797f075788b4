"""The SAM template agrees with the code that it deploys, and passes its linter."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from shared.catalog.lease import MARK, PREFIX, PROMISED
from shared.catalog.manifest import blob_key
from shared.catalog.names import ModelName
from shared.settings import Settings
from shared.state import places
from tests.events.lambda_like import Instance, event, template
from tests.harness import ROOT

TEMPLATE = template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
GLOBALS = TEMPLATE["Globals"]["Function"]
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
MAKEFILE = ROOT / GLOBALS["CodeUri"] / "Makefile"


FOUND = "library/fake/manifests/latest"
"""A path below `/v2/` that leads to something."""


def routes(function: dict[str, Any]) -> set[tuple[str, str]]:
    """Method and path of each event of a function."""
    events = [each["Properties"] for each in function["Events"].values() if each["Type"] == "Api"]
    return {(each["Method"], each["Path"]) for each in events}


@pytest.mark.aws
@pytest.mark.timeout(60)
def test_sam_accepts_the_template(tmp_path: Path) -> None:
    sam = Path(sys.executable).with_name("sam")
    if not sam.exists():
        pytest.skip("aws-sam-cli is not installed")
    environ = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sam, "validate", "--lint", "--template", ROOT / "template.yaml"],
        cwd=tmp_path,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_its_variables_are_settings() -> None:
    known = {item.metadata["env"] for item in fields(Settings)}
    given = set(GLOBALS["Environment"]["Variables"])
    for function in FUNCTIONS.values():
        given |= set(function.get("Environment", {}).get("Variables", {}))
    assert given <= known, f"no such setting: {sorted(given - known)}"
    assert {"REDIS_URL", "PUNA_CATALOG"} <= given, "a function cannot work without these"


def test_its_defaults_are_the_settings() -> None:
    assert TEMPLATE["Parameters"]["DefaultModel"]["Default"] == Settings().model
    assert TEMPLATE["Parameters"]["LogLevel"]["Default"] == Settings().log_level


@pytest.mark.redis
@pytest.mark.parametrize(
    ("name", "method", "path"), [(name, *route) for name, function in FUNCTIONS.items() for route in routes(function)]
)
def test_its_routes_are_served(name: str, method: str, path: str, instances: dict[str, Instance]) -> None:
    sent = event("rest_chat_preflight" if method == "OPTIONS" else "rest_chat_no_body")
    # The models are all tests': what is removed here is not one of them.
    name_of_thing = "nobody" if method == "DELETE" else "fake"
    filled = re.sub(r"\{.+?\}", name_of_thing, path.replace("{path+}", FOUND))
    sent |= {"httpMethod": method, "resource": path, "path": filled}
    answer = instances[FUNCTIONS[name]["Handler"]](sent)
    assert "unknown_url" not in answer["body"], f"{name} knows no {method} {path}"
    nobody = "not found" in answer["body"]  # a response, a conversation, an item or a model of that name
    expected = (401,) if path == "/api/me" and method == "POST" else (200, 400)
    assert answer["statusCode"] in expected or (answer["statusCode"] == 404 and nobody), answer


@pytest.mark.redis
@pytest.mark.parametrize("name", FUNCTIONS)
def test_its_routes_are_all_there(name: str, instances: dict[str, Instance]) -> None:
    asked = {(method, path.replace("+}", "}")) for method, path in routes(FUNCTIONS[name])}
    served = {tuple(route) for route in instances[FUNCTIONS[name]["Handler"]].hello["routes"]}
    assert served, "the app documents no operation"
    assert not served - asked, f"API Gateway does not let these through to {name}"
    closed = {path for _, path in served if ("OPTIONS", path) not in asked}
    assert not closed, "browsers cannot call these: the preflight is not let through"


def test_its_functions_outlive_the_requests_they_serve() -> None:
    assert FUNCTIONS["InferenceFunction"]["Timeout"] > Settings().request_timeout_s


READ_STATE = {"s3:GetObject": {"responses/*", "conversations/*"}}
MAY: dict[str, dict[str, dict[str, set[str]]]] = {
    "InferenceFunction": {"CatalogBucket": {"s3:GetObject": {"manifests/*", "blobs/*"}}, "StateBucket": READ_STATE},
    "CatalogFunction": {
        "CatalogBucket": {
            "s3:GetObject": {"manifests/*", "blobs/*", "uploads/*", "leases/*"},
            "s3:PutObject": {"manifests/*", "blobs/*", "uploads/*", "leases/*"},
            "s3:DeleteObject": {"manifests/*", "blobs/*", "uploads/*", "leases/*"},
            "s3:AbortMultipartUpload": {"uploads/*"},
            "s3:ListMultipartUploadParts": {"uploads/*"},
        },
    },
}
"""What a function may do with the objects of each bucket, besides listing them."""


def test_its_functions_may_do_what_they_need_and_nothing_else() -> None:
    assert set(MAY) == set(FUNCTIONS)
    for name, buckets in MAY.items():
        policies = FUNCTIONS[name]["Policies"]
        assert len(policies) == len(buckets)
        for policy, (bucket, may) in zip(policies, buckets.items(), strict=True):
            check_policy(policy, bucket, may)


def check_policy(policy: dict[str, Any], bucket: str, may: dict[str, set[str]]) -> None:
    allowed: dict[str, Any] = {}
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        allowed |= dict.fromkeys(actions if isinstance(actions, list) else [actions], statement["Resource"])
    whole = {"Fn::GetAtt": f"{bucket}.Arn"}
    assert allowed.pop("s3:ListBucket") == whole
    assert allowed.pop("s3:ListBucketMultipartUploads", whole) == whole
    told = {action: resource if isinstance(resource, list) else [resource] for action, resource in allowed.items()}
    patterns = {
        action: {each["Fn::Sub"].removeprefix(f"${{{bucket}.Arn}}/") for each in resources}
        for action, resources in told.items()
    }
    assert patterns == may


def test_its_functions_reach_what_they_read() -> None:
    catalog = (ModelName.parse("m").manifest_key, blob_key(f"sha256:{'0' * 64}"))
    state = (places.response("o", "resp_" + "0" * 32), places.conversation("o", "conv_" + "0" * 32))
    assert [key.partition("/")[0] for key in catalog] == ["manifests", "blobs"]
    assert {key.partition("/")[0] for key in (PREFIX, PROMISED, MARK)} == {"leases"}
    assert [str(key).partition("/")[0] for key in state] == ["responses", "conversations"]


def test_its_secret_is_not_shown() -> None:
    assert TEMPLATE["Parameters"]["RedisUrl"]["NoEcho"] is True
    assert "Default" not in TEMPLATE["Parameters"]["RedisUrl"]


def test_responses_are_kept_as_long_as_in_a_directory() -> None:
    (rule,) = RESOURCES["StateBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["Prefix"]) == ("Enabled", places.RESPONSES)
    assert rule["ExpirationInDays"] * 86_400 == Settings().state_kept_s


@pytest.mark.parametrize("name", ["CatalogBucket", "StateBucket"])
def test_its_buckets_are_closed(name: str) -> None:
    bucket = RESOURCES[name]
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["BucketEncryption"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    (statement,) = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_build_makes_what_the_template_deploys() -> None:
    text = MAKEFILE.read_text()
    targets = set(re.findall(r"build-(\w+)", text))
    assert targets == set(FUNCTIONS), "SAM calls build-<logical id>"
    for name in FUNCTIONS:
        assert RESOURCES[name]["Metadata"] == {"BuildMethod": "makefile", "WorkingDirectory": "."}
    assert f"python{_variable(text, 'RUNTIME')}" == GLOBALS["Runtime"]
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[GLOBALS["Architectures"][0]]
    assert {platform.partition("manylinux")[2][-len(machine) :] for platform in _platforms(text)} == {machine}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_build_names_no_extras(tmp_path: Path) -> None:
    said = subprocess.run(
        ["make", "--dry-run", "-f", MAKEFILE, "build-InferenceFunction", f"ARTIFACTS_DIR={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    install = next(line for line in said.splitlines() if "pip" in line or "cp -R" in line)
    assert "[" not in install, "an extra is installed into a function's package"
    assert "--constraint constraints.txt" in said, "versions are not pinned"


def _variable(text: str, name: str) -> str:
    found = re.search(rf"^{name} := (.+)$", text, re.MULTILINE)
    assert found, name
    return found[1]


def _platforms(text: str) -> list[str]:
    return _variable(text, "PLATFORMS").split()
