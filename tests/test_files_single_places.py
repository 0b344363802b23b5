"""Every write, removal, rename, lock and whole read goes through `files` and its neighbours."""

import ast
from pathlib import Path

import reco_assist

PACKAGE = Path(reco_assist.__file__).parent
SINGLE = {"files.py", "folders.py", "locks.py", "json_files.py"}

# Calls that write, remove, rename or lock.
METHODS = {
    *("unlink", "rmdir", "rmtree", "touch", "mkdir", "makedirs", "symlink_to", "hardlink_to", "chmod"),
    *("write_bytes", "write_text", "removedirs", "renames", "copyfile", "copytree", "copy2", "link"),
    *("symlink", "mkdtemp", "mkstemp", "NamedTemporaryFile", "FileLock", "save_file"),
    *("write_index", "write_table", "TemporaryDirectory", "TemporaryFile", "SpooledTemporaryFile"),
    *("hf_hub_download", "snapshot_download", "download_url_to_file", "load_state_dict_from_url"),
    *("merge_insert", "compact_files", "cleanup_old_versions", "add_columns", "drop_columns"),
}
OF_MODULES = {
    "os": {"remove", "rename", "replace", "open", "truncate"},
    "shutil": {"copy", "move"},
    "np": {"save", "savez"},
    "LanceDataset": {"commit"},
    "lance": {"write_dataset"},
    "_data": {"delete", "update", "insert", "restore"},  # the table's data set of Lance
    "onnx": {"export", "save", "save_model"},
    "torch": {"save"},
    "hub": {"load", "set_dir"},
}
OF_PATHS = {"rename", "replace"}  # with one argument; those of a text or of ours have more

ALLOWED = {
    ("archive/doctor.py", "LanceDataset.commit"): "Lance writes by itself; `writing` looks for links before",
    ("archive/embeddings.py", "np.save"): "into a draft of `atomic_folder`",
    ("archive/embeddings.py", "write_table"): "into a draft of `atomic_folder`",
    ("archive/ivf.py", "write_index"): "FAISS writes by itself, into a draft of `atomic_folder`",
    ("archive/table.py", "lance.write_dataset"): "Lance writes by itself; `writing` looks for links before",
    ("archive/table.py", "merge_insert"): "as above",
    ("archive/table.py", "_data.delete"): "as above",
    ("archive/table.py", "compact_files"): "as above",
    ("archive/table.py", "cleanup_old_versions"): "as above; it removes files that Lance's manifests name",
    ("encoders/weights.py", "download_url_to_file"): "torch writes into its own cache, whole or not at all",
    ("encoders/weights.py", "hf_hub_download"): "Hugging Face writes into its own cache",
    ("serving/images.py", "TemporaryDirectory"): "private and new; files in it go through `files`",
    ("serving/models.py", "TemporaryDirectory"): "private and new; files in it go through `files`",
    ("student/onnx.py", "TemporaryDirectory"): "private and new; the exporter can only write files",
    ("tensor_files.py", "torch.save"): "safetensors' own, which gives bytes",
    ("student/onnx.py", "onnx.export"): "into that temporary folder; its bytes then go through `files`",
}
"""What cannot go through them, and why it is safe."""


READ_WHOLE = {
    ("archive/decoding.py", "readline"): "of our own process's answers",
    ("cli/demo.py", "read_text"): "of the package's own samples",
    ("cli/lab.py", "read_bytes"): "of the package's own notebooks",
}
"""What is read without a bound, and why it is safe."""


def sites(seen):
    """(module, call) of everything in the package that does something by itself."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).as_posix()
        if module not in SINGLE:
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            found |= {(module, name) for call in calls if (name := seen(call))}
    return found


def changing(call):
    """Name of a call that changes a disk; None of any other."""
    function = call.func
    name = getattr(function, "attr", None) or getattr(function, "id", None)
    owner = getattr(function, "value", None)
    module = getattr(owner, "attr", None) or getattr(owner, "id", None)
    if name in OF_MODULES.get(module, ()):
        return f"{module}.{name}"
    if owner is None:  # a function; those of `files` have the names of methods
        return name if name in METHODS - {"write_bytes"} or (name == "open" and writes(call)) else None
    alone = (len(call.args), call.keywords) == (1, [])
    changes = name in METHODS or (name in OF_PATHS and alone) or (name == "open" and writes(call))
    return name if changes else None


def writes(call):
    """Whether an `open` may write: any short text among its arguments may be its mode."""
    given = [*call.args, *(one.value for one in call.keywords if one.arg == "mode")]
    texts = [node.value for one in given for node in ast.walk(one) if isinstance(node, ast.Constant)]
    modes = (text for text in texts if isinstance(text, str) and set(text) <= set("rwaxbt+"))
    return any(set("wax+") & set(mode) for mode in modes)


def whole(call):
    """Name of a call that reads all there is, however much; None of any other."""
    name = getattr(call.func, "attr", None)
    if getattr(getattr(call.func, "value", None), "id", None) == "json":
        return f"json.{name}" if name == "load" else None
    reads = name in {"read", "readall", "readline", "readlines", "read_bytes", "read_text"}
    return name if reads and not call.args and name is not None else None


def test_the_disk_is_changed_in_single_places_only():
    found = sites(changing)
    known = set(ALLOWED)
    assert sorted(found - known) == [], "write, remove and rename through " + ", ".join(sorted(SINGLE))
    assert sorted(known - found) == [], "take what is gone off the list"


def test_files_are_read_whole_in_one_place_only():
    found = sites(whole)
    assert sorted(found - set(READ_WHOLE)) == [], "read by files.read_bounded or json_files.read_json"
    assert sorted(set(READ_WHOLE) - found) == [], "take what is gone off the list"


def test_what_reads_whole_is_seen():
    samples = {
        "path.read_bytes()": "read_bytes",
        "(folder / RUN).read_text(encoding='utf-8')": "read_text",
        "file.read()": "read",
        "file.readline()": "readline",
        "json.load(file)": "json.load",
        "file.read(most)": None,
        "read_bounded(path, most)": None,
        "read_bytes(path)": None,
        "_Asked.read(data)": None,
    }
    for sample, expected in samples.items():
        assert whole(ast.parse(sample).body[0].value) == expected, sample


def test_what_changes_a_disk_is_seen():
    samples = {
        "path.unlink(missing_ok=True)": "unlink",
        "path.open('r+b' if path.exists() else 'w+b', buffering=0)": "open",
        "open(path, mode='a')": "open",
        "path.replace(target)": "replace",
        "os.remove(path)": "os.remove",
        "shutil.rmtree(path)": "rmtree",
        "FileLock(path)": "FileLock",
        "self._data.delete(condition)": "_data.delete",
        "torch.onnx.export(model, path)": "onnx.export",
        "TemporaryDirectory()": "TemporaryDirectory",
        "hf_hub_download(repository, file)": "hf_hub_download",
        "self._table.delete(hashes)": None,
        "text.replace('a', 'b')": None,
        "moment.replace(tzinfo=UTC)": None,
        "path.open('rb')": None,
        "write_bytes(path, b'')": None,
        "rename(path, target)": None,
    }
    for sample, expected in samples.items():
        assert changing(ast.parse(sample).body[0].value) == expected, sample
