"""What an unmodified MLflow client must be able to do; runs in an environment that has one.

``python client_suite.py URL KEY FOLDER`` prints a line of JSON for each check. The checks follow on
one another: later ones use what earlier ones registered.
"""

import os
import time
from pathlib import Path
from urllib.parse import quote

import mlflow
import requests
from client_side import (
    ARTIFACTS,
    FOLDER,
    IS_3,
    KEY,
    PREDICTED,
    ask,
    client,
    close,
    key_of,
    log_model,
    make,
    predicted,
    predicted_by_flavor,
    refusal,
    run,
)  # fmt: skip

known = {}


class Call:
    """Pickles to a call of a program."""

    def __reduce__(self):
        return os.system, ("true",)


def register_through_log_model():
    with run() as current:
        log_model("model", registered_model_name="fx")
    version = client.get_model_version("fx", "1")
    assert version.status == "READY", version
    assert version.current_stage == "None"
    assert version.source.startswith("models:/m-" if IS_3 else f"{ARTIFACTS}/desk/"), version.source
    assert version.run_id in (None, "", current.info.run_id)
    known["run"] = current.info.run_id


def register_from_a_run():
    with run() as current:
        log_model("model", slope=2.0)
    version = mlflow.register_model(f"runs:/{current.info.run_id}/model", "fx", tags={"by": "ci"})
    assert version.version in ("2", 2), version
    assert version.tags["by"] == "ci"
    assert version.run_id == current.info.run_id


def load_by_number():
    close(predicted_by_flavor("models:/fx/1"), PREDICTED)
    close(predicted("models:/fx/2"), 2 * PREDICTED)


def load_latest():
    close(predicted("models:/fx/latest"), 2 * PREDICTED)


def set_move_and_load_an_alias():
    client.set_registered_model_alias("fx", "best", "2")
    client.set_registered_model_alias("fx", "best", "1")
    assert str(client.get_model_version_by_alias("fx", "best").version) == "1"
    assert client.get_registered_model("fx").aliases == {"best": "1"}
    close(predicted("models:/fx@best"), PREDICTED)


def delete_an_alias():
    client.delete_registered_model_alias("fx", "best")
    client.delete_registered_model_alias("fx", "best")
    with refusal("INVALID_PARAMETER_VALUE"):
        client.get_model_version_by_alias("fx", "best")


def refuse_aliases_that_mean_something_else():
    with refusal("INVALID_PARAMETER_VALUE"):
        client.set_registered_model_alias("fx", "latest", "1")
    with refusal("RESOURCE_CONFLICT", "promote it first"):
        client.set_registered_model_alias("fx", "champion", "1")


def create_get_and_describe_a_model():
    created = client.create_registered_model("eq", tags={"desk": "us"}, description="d")
    assert (created.name, created.tags, created.description) == ("eq", {"desk": "us"}, "d")
    client.update_registered_model("eq", description="new")
    got = client.get_registered_model("eq")
    assert got.description == "new"
    assert got.creation_timestamp <= got.last_updated_timestamp
    assert abs(got.creation_timestamp / 1000 - time.time()) < 600


def refuse_a_name_twice():
    with refusal("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model("eq")


def refuse_names_that_are_paths():
    for name in ("a:b", "..", "a/b"):
        with refusal("INVALID_PARAMETER_VALUE"):
            client.create_registered_model(name)


def refuse_an_unknown_model_and_version():
    with refusal("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model("none")
    with refusal("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version("fx", "77")
    with refusal("INVALID_PARAMETER_VALUE"):
        client.get_model_version("fx", "x")


def tag_models_and_versions():
    client.set_registered_model_tag("eq", "a.b", "1")
    assert client.get_registered_model("eq").tags["a.b"] == "1"
    client.delete_registered_model_tag("eq", "a.b")
    client.delete_registered_model_tag("eq", "a.b")
    assert "a.b" not in client.get_registered_model("eq").tags
    client.set_model_version_tag("fx", "1", "seen", "ä 'quoted'")
    assert client.get_model_version("fx", "1").tags["seen"] == "ä 'quoted'"
    client.delete_model_version_tag("fx", "1", "seen")
    assert "seen" not in client.get_model_version("fx", "1").tags


def see_the_true_stage_in_a_tag_that_nobody_sets():
    assert client.get_model_version("fx", "1").tags["registry.stage"] == "development"
    with refusal("INVALID_PARAMETER_VALUE", "registry's own"):
        client.set_model_version_tag("fx", "1", "registry.stage", "production")


def describe_a_version():
    client.update_model_version("fx", "1", description="The first.")
    assert client.get_model_version("fx", "1").description == "The first."


def rename_a_model():
    client.create_registered_model("old name")
    client.rename_registered_model("old name", "new name")
    assert client.get_registered_model("new name").name == "new name"
    with refusal("RESOURCE_ALREADY_EXISTS"):
        client.rename_registered_model("new name", "eq")


def search_models():
    names = [f"s{number}" for number in range(5)]
    for name in names:
        client.create_registered_model(name, tags={"kind": "searched", "n": name})
    found = client.search_registered_models("name LIKE 's%'")
    assert [model.name for model in found] == names
    found = client.search_registered_models("tags.kind = 'searched' AND tag.`n` != 's0'")
    assert [model.name for model in found] == names[1:]
    found = client.search_registered_models("name ILIKE 'S_'", order_by=["name DESC"])
    assert [model.name for model in found] == names[::-1]
    assert len(client.search_registered_models()) >= 7


def page_through_models():
    seen, token = [], None
    while True:
        page = client.search_registered_models("name LIKE 's%'", max_results=2, page_token=token)
        seen += [model.name for model in page]
        token = page.token
        if not token:
            break
    assert seen == [f"s{number}" for number in range(5)], seen
    assert len(mlflow.search_registered_models(filter_string="name LIKE 's%'")) == 5


def search_versions():
    found = client.search_model_versions("name = 'fx'")
    assert [str(version.version) for version in found][:1]
    assert {str(version.version) for version in found} == {"1", "2"}
    found = client.search_model_versions("name='fx' AND tags.by = 'ci'")
    assert [str(version.version) for version in found] == ["2"]
    run_id = found[0].run_id
    assert [v.name for v in client.search_model_versions(f"run_id = '{run_id}'")] == ["fx"]
    page = client.search_model_versions(
        "name = 'fx'", max_results=1, order_by=["version_number ASC"]
    )
    rest = client.search_model_versions(
        "name = 'fx'", max_results=1, order_by=["version_number ASC"], page_token=page.token
    )
    assert [str(version.version) for version in [*page, *rest]] == ["1", "2"]
    assert not rest.token


def refuse_a_filter_in_words():
    with refusal("INVALID_PARAMETER_VALUE", "owner"):
        client.search_model_versions("owner = 'me'")
    with refusal("INVALID_PARAMETER_VALUE"):
        client.search_registered_models(page_token="nonsense")


def copy_a_version():
    copied = client.copy_model_version("models:/fx/1", "fx-copy")
    assert (copied.name, str(copied.version)) == ("fx-copy", "1")
    assert copied.source == "models:/fx/1"
    assert copied.description == "The first."
    close(predicted("models:/fx-copy/1"), PREDICTED)


def register_the_same_files_once():
    with refusal("RESOURCE_CONFLICT", "fx v1"):
        client.create_model_version("fx", "models:/fx/1")


def refuse_files_that_are_not_here():
    local = FOLDER / "elsewhere"
    local.mkdir()
    for source in (
        str(local), local.as_uri(), "s3://bucket/model", "https://elsewhere.example/x",
        "mlflow-artifacts:/0/abc/artifacts/model", f"{ARTIFACTS}/desk/%252e%252e/etc",
    ):  # fmt: skip
        with refusal("INVALID_PARAMETER_VALUE"):
            client.create_model_version("eq", source)
    with refusal("RESOURCE_DOES_NOT_EXIST"):
        client.create_model_version("eq", f"models:/m-{'0' * 32}")


def download_a_folder():
    uri = client.get_model_version_download_uri("fx", "1")
    assert uri.startswith(f"{ARTIFACTS}/"), uri
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(FOLDER / "down")))
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"MLmodel", "requirements.txt"} <= names, names
    text = mlflow.artifacts.load_text(f"{uri}/requirements.txt")
    assert "scikit-learn" in text


def hand_in_files_of_any_name_and_none_of_content():
    names = {
        "a b+c.txt": "1", "naïve ü.txt": "2", "empty.txt": "", "100%.txt": "3",
        "sub/deep/Ärger.json": "{}", "sub/empty.bin": "",
    }  # fmt: skip
    local = FOLDER / "files"
    for name, text in names.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_text(text)
    with run() as current:
        mlflow.log_artifacts(str(local), "a folder+ü")
        mlflow.log_text("big " * 2_000_000, "a folder+ü/large.txt")
    listed = client.list_artifacts(current.info.run_id, "a folder+ü")
    assert {Path(one.path).name for one in listed} == {
        "a b+c.txt", "naïve ü.txt", "empty.txt", "100%.txt", "sub", "large.txt",
    }  # fmt: skip
    uri = f"{current.info.artifact_uri}/a folder+ü"
    if not IS_3:
        uri = f"{current.info.artifact_uri}/{quote('a folder+ü')}"
    client.create_registered_model("plain")
    version = client.create_model_version("plain", uri, run_id=current.info.run_id)
    assert client.get_model_version("plain", version.version).status == "READY"
    found = mlflow.artifacts.download_artifacts("models:/plain/1", dst_path=str(FOLDER / "plain"))
    for name, text in names.items():
        assert (Path(found) / name).read_text() == text, name
    assert (Path(found) / "large.txt").stat().st_size == 8_000_000


def refuse_to_overwrite_what_is_registered():
    folder = f"{known['run']}/artifacts/model"
    if IS_3:
        model_id = client.get_model_version("fx", "1").source.rpartition("/")[2]
        folder = f"models/{model_id}/artifacts"
    answer = requests.put(
        f"{ARTIFACTS}/desk/{folder}/requirements.txt", b"other",
        headers={"Authorization": f"Bearer {KEY}"}, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 409, answer.text
    assert answer.json()["error_code"] == "RESOURCE_CONFLICT"


def refuse_a_move_up_with_every_gate():
    with refusal("INVALID_STATE_TRANSITION", "gate model_card_complete", "gate backtest",
                 "gate four_eyes: 0 of 1 approvals"):  # fmt: skip
        client.transition_model_version_stage("fx", "1", "Staging")
    assert client.get_model_version("fx", "1").current_stage == "None"


def refuse_to_skip_staging():
    with refusal("INVALID_STATE_TRANSITION"):
        client.transition_model_version_stage("fx", "1", "Production")


def wait_for_approval_of_staging_and_go():
    ask("evidence", "fx", 1)
    for _ in range(2):
        with refusal("INVALID_STATE_TRANSITION", "gate four_eyes: 0 of 1 approvals"):
            client.transition_model_version_stage("fx", "1", "Staging")
    assert client.get_model_version("fx", "1").tags["registry.stage"] == "testing"
    ask("approve", "fx", 1)
    moved = client.transition_model_version_stage("fx", "1", "staging")
    assert moved.current_stage == "Staging"
    close(predicted("models:/fx/Staging"), PREDICTED)


def reach_production_by_two_approvals_and_an_operator():
    with refusal("INVALID_STATE_TRANSITION", "0 of 2 approvals"):
        client.transition_model_version_stage("fx", "1", "Production", True)
    ask("approve", "fx", 2)
    with refusal("PERMISSION_DENIED", "Operators"):
        client.transition_model_version_stage("fx", "1", "Production", True)
    with key_of(ask("key", "operator")):
        moved = client.transition_model_version_stage("fx", "1", "Production", True)
        assert moved.current_stage == "Production"
        client.set_registered_model_alias("fx", "champion", "1")
    close(predicted("models:/fx/Production"), PREDICTED)
    close(predicted("models:/fx@champion"), PREDICTED)
    stages = client.get_latest_versions("fx", stages=["Production"])
    assert [str(version.version) for version in stages] == ["1"]


def refuse_to_delete_what_left_development():
    with refusal("RESOURCE_CONFLICT", "record"):
        client.delete_model_version("fx", "1")
    with refusal("RESOURCE_CONFLICT", "record"):
        client.delete_registered_model("fx")


def archive_and_revive():
    assert client.transition_model_version_stage("fx", "2", "Archived").current_stage == "Archived"
    with refusal("RESOURCE_CONFLICT", "archived"):
        client.get_model_version_download_uri("fx", "2")
    assert client.transition_model_version_stage("fx", "2", "None").current_stage == "None"
    with refusal("INVALID_PARAMETER_VALUE"):
        client.transition_model_version_stage("fx", "2", "Testing")


def delete_a_version_and_a_model():
    client.set_registered_model_alias("fx-copy", "x", "1")
    client.delete_model_version("fx-copy", "1")
    with refusal("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version("fx-copy", "1")
    again = client.copy_model_version("models:/fx/1", "fx-copy")
    assert str(again.version) == "2", "a number is never given twice"
    client.delete_registered_model("fx-copy")
    with refusal("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model("fx-copy")


def tell_a_waiting_client_of_quarantine():
    client.create_registered_model("pickled")
    with run(), refusal(None, "quarantine", "pickle"):
        log_model("pickled", pickled=True, slope=3.0, registered_model_name="pickled")
    assert client.get_model_version("pickled", "1").status == "FAILED_REGISTRATION"
    with refusal(None, "quarantine"):
        mlflow.pyfunc.load_model("models:/pickled/1")
    ask("waive", "pickled")
    assert client.get_model_version("pickled", "1").status == "FAILED_REGISTRATION"
    with refusal(None, "quarantine"):
        mlflow.pyfunc.load_model("models:/pickled/1")


def tell_a_waiting_client_of_a_refusal():
    with run() as current:
        log_model("model", pickled=True, slope=4.0, note=Call())
    with refusal(None, "posix.system"):
        mlflow.register_model(f"runs:/{current.info.run_id}/model", "eq")


def leave_a_version_pending_until_it_was_looked_at():
    ask("admit", "later")
    with run() as current:
        log_model("model", slope=5.0)
    version = mlflow.register_model(
        f"runs:/{current.info.run_id}/model", "eq", await_registration_for=0
    )
    assert version.status == "PENDING_REGISTRATION", version.status
    with refusal("RESOURCE_CONFLICT", "looked at"):
        client.get_model_version_download_uri("eq", version.version)


def refuse_a_tampered_file():
    ask("tamper", "fx", 1)
    for _ in range(2):
        with refusal(None):
            mlflow.pyfunc.load_model("models:/fx/1")
    version = client.get_model_version("fx", "1")
    assert version.status == "FAILED_REGISTRATION", version.status
    with refusal("DATA_LOSS", "cannot be loaded"):
        client.get_model_version_download_uri("fx", "1")


def take_the_key_as_password():
    del os.environ["MLFLOW_TRACKING_TOKEN"]
    os.environ |= {"MLFLOW_TRACKING_USERNAME": "anybody", "MLFLOW_TRACKING_PASSWORD": KEY}
    try:
        assert client.get_registered_model("eq").name == "eq"
        os.environ["MLFLOW_TRACKING_PASSWORD"] = "pw"
        with refusal("UNAUTHENTICATED"):
            client.get_registered_model("eq")
    finally:
        del os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
        os.environ["MLFLOW_TRACKING_TOKEN"] = KEY


def refuse_an_unknown_key_and_one_that_only_reads():
    with key_of("ct_nonsense"), refusal("UNAUTHENTICATED"):
        client.get_registered_model("eq")
    with key_of(ask("key", "auditor")):
        assert client.get_registered_model("eq").name == "eq"
        with refusal("PERMISSION_DENIED"):
            client.create_registered_model("mine")


CHECKS = [
    register_through_log_model, register_from_a_run, load_by_number, load_latest,
    set_move_and_load_an_alias, delete_an_alias, refuse_aliases_that_mean_something_else,
    create_get_and_describe_a_model, refuse_a_name_twice, refuse_names_that_are_paths,
    refuse_an_unknown_model_and_version, tag_models_and_versions,
    see_the_true_stage_in_a_tag_that_nobody_sets, describe_a_version, rename_a_model,
    search_models, page_through_models, search_versions, refuse_a_filter_in_words, copy_a_version,
    register_the_same_files_once, refuse_files_that_are_not_here, download_a_folder,
    hand_in_files_of_any_name_and_none_of_content, refuse_to_overwrite_what_is_registered,
    refuse_a_move_up_with_every_gate, refuse_to_skip_staging, wait_for_approval_of_staging_and_go,
    reach_production_by_two_approvals_and_an_operator, refuse_to_delete_what_left_development,
    archive_and_revive, delete_a_version_and_a_model, tell_a_waiting_client_of_quarantine,
    tell_a_waiting_client_of_a_refusal, leave_a_version_pending_until_it_was_looked_at,
    take_the_key_as_password, refuse_an_unknown_key_and_one_that_only_reads,
    refuse_a_tampered_file,
]  # fmt: skip

make(CHECKS)
