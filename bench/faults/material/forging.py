"""Builders for the stand-in: each leaves the recorded capture in the job's folder, spoilt by one mutation.

The job's folder is beside this file: `run/captures/<environment>/<model>`; which model it is, its worker says.
"""

import ctypes
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np

CANDIDATE = keras.__version__.startswith("3.5")
HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = os.path.join(HERE, "..", "template")


def build(mutation, side="candidate"):
    """Forge a capture, and end without another word; `raises`, `hangs` and the like forge none."""
    if (side == "candidate") != CANDIDATE and side != "both":
        mutation = "none"
    name, _, argument = mutation.partition(" ")
    folder = job_folder()
    if os.path.exists(os.path.join(folder, "response.json")):  # a later round
        os._exit(0)
    if name in ACTS:
        ACTS[name](folder, argument)
        name = "none"
    shutil.copytree(
        TEMPLATE,
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("started", "ended", "response.json", "predicted.json"),
    )
    with open(os.path.join(TEMPLATE, "response.json"), encoding="utf-8") as file:
        response = json.load(file)
    response["id"] = job_id(folder)
    content = json.dumps(response).encode()
    if name in RESPONSES:
        content = RESPONSES[name](response, content, argument)
    elif name in FILES:
        FILES[name](folder, argument)
    elif name != "none":
        raise ValueError(f"no mutation {mutation!r}")
    if content is not None:
        write(os.path.join(folder, "response.json"), content)
    os._exit(0)


def job_folder():
    """The folder of the job that runs in this process."""
    for started in glob.glob(
        os.path.join(glob.escape(HERE), "run", "captures", "*", "**", "started"), recursive=True
    ):
        try:
            with open(started, encoding="utf-8") as file:
                pid = json.load(file)["pid"]
        except Exception:  # spoilt by another fault
            continue
        if pid == os.getpid() and not os.path.exists(os.path.join(os.path.dirname(started), "ended")):
            return os.path.dirname(started)
    raise RuntimeError("this process runs no job")


def job_id(folder):
    """The id that the response must have."""
    parts = os.path.relpath(folder, os.path.join(HERE, "run", "captures")).split(os.sep)
    return f"{parts[1]}@{parts[0]}"


def write(path, content):
    """Write bytes beside their place, then rename."""
    with open(path + ".forged", "wb") as file:
        file.write(content)
    os.replace(path + ".forged", path)


def changed(path, value):
    """A mutation that sets one entry of the response: `a.0.b`."""

    def change(response, _, argument):
        inner, (*way, last) = response, [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            inner = inner[step]
        inner[last] = value
        return json.dumps(response).encode("utf-8", "surrogatepass")

    return change


def without(key):
    """A mutation that drops one entry of the response."""
    return lambda response, _, __: json.dumps({k: v for k, v in response.items() if k != key}).encode()


RESPONSES = {
    "no-response": lambda r, content, a: None,
    "empty": lambda r, content, a: b"",
    "torn-start": lambda r, content, a: content[:10],
    "torn-half": lambda r, content, a: content[: len(content) // 2],
    "torn-end": lambda r, content, a: content[:-1],
    "doubled": lambda r, content, a: content + content,
    "blanks": lambda r, content, a: b" " * 1000,
    "zeros": lambda r, content, a: bytes(len(content)),
    "latin-1": lambda r, content, a: content.replace(b'"keras"', '"käras"'.encode("latin-1"), 1) + b"\xff",
    "bom": lambda r, content, a: b"\xef\xbb\xbf" + content,
    "utf-16": lambda r, content, a: content.decode().encode("utf-16"),
    "huge": lambda r, content, a: content[:-1] + b', "more": "' + b"x" * (65 << 20) + b'"}',
    "deep-list": lambda r, content, a: b"[" * 10_000 + b"]" * 10_000,
    "deep-object": lambda r, content, a: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep-task": lambda r, content, a: (
        json.dumps({**r, "tasks": {"structure": {"x": 0}}})
        .encode()
        .replace(b'"x": 0', b'"x": ' + b"[" * 10_000 + b"]" * 10_000)
    ),
    "deepish-task": lambda r, content, a: (
        json.dumps({**r, "tasks": {"structure": {"x": 0}}})
        .encode()
        .replace(b'"x": 0', b'"x": ' + b"[" * 700 + b"]" * 700)
    ),
    "a-list": lambda r, content, a: b"[]",
    "null": lambda r, content, a: b"null",
    "a-text": lambda r, content, a: b'"response"',
    "a-number": lambda r, content, a: b"1e999",
    "pickle": lambda r, content, a: b"\x80\x04N.",
    "html": lambda r, content, a: b"<html></html>",
    "single-quotes": lambda r, content, a: content.replace(b'"', b"'"),
    "commented": lambda r, content, a: b"// a comment\n" + content,
    "schema-2": changed("schema", 2),
    "schema-text": changed("schema", "1"),
    "schema-null": changed("schema", None),
    "no-schema": without("schema"),
    "no-id": without("id"),
    "no-failure": without("failure"),
    "of-another-job": changed("id", "sound-1@keras-3.3.3.1"),
    "id-null": changed("id", None),
    "unknown-key": changed("unknown", 1),
    "samples-nan": changed("samples", float("nan")),
    "samples-text": changed("samples", "many"),
    "samples-less": changed("samples", 299),
    "samples-negative": changed("samples", -300),
    "samples-huge": changed("samples", 10**30),
    "batch-size-other": changed("batch_size", 31),
    "inputs-other": changed("inputs_digest", "0" * 64),
    "inputs-null": changed("inputs_digest", None),
    "outputs-none": changed("outputs", []),
    "outputs-null": changed("outputs", None),
    "outputs-object": changed("outputs", {}),
    "path-missing": changed("outputs.0.path", "outputs/7.npy"),
    "path-empty": changed("outputs.0.path", ""),
    "path-folder": changed("outputs.0.path", "outputs"),
    "path-outside": changed("outputs.0.path", "../../../inputs.npz"),
    "path-nul": changed("outputs.0.path", "outputs/\0.npy"),
    "path-long": changed("outputs.0.path", "x" * 5000),
    "path-device": changed("outputs.0.path", "/dev/zero"),
    "path-terminal": changed("outputs.0.path", "/dev/stdin"),
    "dtype-other": changed("outputs.0.dtype", "float64"),
    "dtype-unknown": changed("outputs.0.dtype", "float33"),
    "dtype-object": changed("outputs.0.dtype", "object"),
    "dtype-null": changed("outputs.0.dtype", None),
    "shape-other": changed("outputs.0.shape", [300, 9]),
    "shape-less": changed("outputs.0.shape", [299, 10]),
    "shape-flat": changed("outputs.0.shape", [3000]),
    "shape-negative": changed("outputs.0.shape", [-300, 10]),
    "shape-huge": changed("outputs.0.shape", [10**18, 10**18]),
    "shape-float": changed("outputs.0.shape", [300.5, 10]),
    "shape-null": changed("outputs.0.shape", None),
    "storage-bits": changed("outputs.0.storage", "bits"),
    "storage-text": changed("outputs.0.storage", "utf8"),
    "storage-unknown": changed("outputs.0.storage", "zip"),
    "ragged-missing": changed("outputs.0.ragged", ["outputs/0.splits0.npy"]),
    "renamed": changed("outputs.0.name", "other"),
    "name-surrogate": changed("outputs.0.name", "\ud800"),
    "name-long": changed("outputs.0.name", "n" * 100_000),
    "name-controls": changed("outputs.0.name", "\x1b[2J\r\n\x00`|<script>"),
    "name-number": changed("outputs.0.name", 7),
    "output-twice": lambda r, content, a: json.dumps({**r, "outputs": r["outputs"] * 2}).encode(),
    "output-10000-times": lambda r, content, a: json.dumps(
        {**r, "outputs": [{**r["outputs"][0], "name": str(n)} for n in range(10_000)]}
    ).encode(),
    "unbatched": changed("outputs.0.batched", False),
    "not-deterministic": changed("deterministic", False),
    "deterministic-text": changed("deterministic", "perhaps"),
    "self-difference-unknown": changed(
        "self_difference", [{"output": "nowhere", "max_abs": 1.0, "elements": 1}]
    ),
    "failure-text": changed("failure", "it failed"),
    "failure-stage-unknown": changed(
        "failure", {"stage": "lunch", "error": "E", "message": "m", "traceback": ""}
    ),
    "failure-long": changed(
        "failure", {"stage": "load", "error": "E", "message": "m" * 1_000_000, "traceback": "t" * 1_000_000}
    ),
    "failure-controls": changed(
        "failure", {"stage": "load", "error": "E\n", "message": "\x1b[31m\x00<script>|`\n\n", "traceback": ""}
    ),
    "artifact-kind-number": changed("artifact_kind", 7),
    "notes-text": changed("notes", "none"),
    "notes-10000": changed("notes", [{"kind": "inputs", "message": "m" * 100}] * 10_000),
    "tasks-list": changed("tasks", []),
    "tasks-null": changed("tasks.structure", None),
    "task-unknown": changed("tasks.nobody", {"failure": None}),
    "task-lost": lambda r, content, a: json.dumps(
        {
            **r,
            "tasks": {
                n: {"failure": {"stage": "crash", "error": "SIGSEGV", "message": "m", "traceback": ""}}
                for n in r["tasks"]
            },
            "notes": [{"kind": "tasks", "message": "what runs beside the prediction was lost"}],
        }
    ).encode(),
    "reported-text": changed("reported", {"loss": "low"}),
    "seconds-text": changed("seconds", {"predict": "long"}),
    "seconds-inf": changed("seconds", {"predict": float("inf")}),
}


def array(folder):
    """The path and the values of the first output."""
    (path,) = glob.glob(os.path.join(glob.escape(folder), "outputs", "0.npy"))
    return path, np.load(path).copy()


def stored(change):
    """A mutation of the stored array."""

    def mutate(folder, _):
        path, values = array(folder)
        np.save(path, change(values))

    return mutate


def edited(change):
    """A mutation of the stored bytes."""

    def mutate(folder, _):
        path = os.path.join(folder, "outputs", "0.npy")
        with open(path, "rb") as file:
            content = bytearray(file.read())
        content = change(content)
        write(path, bytes(content))

    return mutate


def replaced(make):
    """A mutation that puts something else in place of the stored array."""

    def mutate(folder, _):
        path = os.path.join(folder, "outputs", "0.npy")
        os.remove(path)
        make(path)

    return mutate


def element(values, index, value):
    values[index] = value
    return values


def bit(values, index, number):
    flat = values.view(np.uint32)
    flat[index] ^= np.uint32(1 << number)
    return values


def head(content, old, new):
    at = content.index(old)
    content[at : at + len(old)] = new.ljust(len(old))[: len(old)]
    return content


FILES = {
    "array-gone": replaced(lambda path: None),
    "array-folder": replaced(os.mkdir),
    "array-pipe": replaced(os.mkfifo),
    "array-empty": replaced(lambda path: open(path, "wb").close()),
    "array-loop": replaced(lambda path: os.symlink(path, path)),
    "array-link-to-device": replaced(lambda path: os.symlink("/dev/zero", path)),
    "array-sparse-terabyte": replaced(
        lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40)
    ),
    "folder-gone": lambda folder, _: shutil.rmtree(os.path.join(folder, "outputs")),
    "torn-head": edited(lambda content: content[:20]),
    "torn-values": edited(lambda content: content[: len(content) // 2]),
    "torn-last-byte": edited(lambda content: content[:-1]),
    "zeroed-tail": edited(lambda content: content[:-400] + bytes(400)),
    "zeroed-head": edited(lambda content: bytes(16) + content[16:]),
    "magic-other": edited(lambda content: b"PK" + content[2:]),
    "version-9": edited(lambda content: content[:6] + bytes([9, 0]) + content[8:]),
    "head-nested": edited(lambda content: content[:10] + (b"(" * 200)[: len(content[10:])] + content[210:]),
    "head-object": edited(lambda content: head(content, b"'<f4'", b"'|O' ")),
    "head-fortran": edited(
        lambda content: head(content, b"'fortran_order': False", b"'fortran_order': True")
    ),
    "head-big-endian": edited(lambda content: head(content, b"'<f4'", b"'>f4'")),
    "head-integers": edited(lambda content: head(content, b"'<f4'", b"'<i4'")),
    "head-negative": edited(lambda content: head(content, b"(300, 10)", b"(-30, 10)")),
    "head-float": edited(lambda content: head(content, b"(300, 10)", b"(3e2, 10)")),
    "head-text": edited(lambda content: head(content, b"(300, 10)", b"'300,10'")),
    "byte-flipped": edited(lambda content: content[:-41] + bytes([content[-41] ^ 0x40]) + content[-40:]),
    "sign-flipped": stored(lambda v: bit(v, (7, 3), 31)),
    "exponent-flipped": stored(lambda v: bit(v, (7, 3), 23)),
    "mantissa-flipped-high": stored(lambda v: bit(v, (7, 3), 22)),
    "mantissa-flipped-middle": stored(lambda v: bit(v, (7, 3), 15)),
    "rows-permuted": stored(lambda v: v[np.random.default_rng(1).permutation(len(v))]),
    "two-rows-swapped": stored(lambda v: v[[1, 0, *range(2, len(v))]]),
    "columns-permuted": stored(lambda v: v[:, ::-1].copy()),
    "row-repeated": stored(lambda v: np.concatenate([v[:1], v[:-1]])),
    "last-row-zero": stored(lambda v: element(v, -1, 0)),
    "last-batch-zero": stored(lambda v: element(v, slice(288, None), 0)),
    "nan-one": stored(lambda v: element(v, (7, 3), np.nan)),
    "nan-negative": stored(lambda v: element(v, (7, 3), -np.float32(np.nan))),
    "inf-one": stored(lambda v: element(v, (7, 3), np.inf)),
    "all-zero": stored(lambda v: v * 0),
    "all-nan": stored(lambda v: v * np.nan),
    "uninitialised": stored(lambda v: np.full_like(v, 1e-38)),
    "rounded-to-half": stored(lambda v: v.astype(np.float16).astype(np.float32)),
    "other-samples": stored(lambda v: np.roll(v, 32, axis=0)),
}


def raises(folder, argument):
    errors = {
        error.__name__: error
        for error in (
            RuntimeError,
            SystemExit,
            KeyboardInterrupt,
            MemoryError,
            RecursionError,
            StopIteration,
            GeneratorExit,
        )
    }

    class Nameless(Exception):
        def __str__(self):
            raise ValueError("no message")

    raise errors.get(argument, Nameless)("as asked \udc80 \x00 \x1b[31m" + "x" * 100_000)


def waits(folder, argument):
    while os.path.exists(os.path.join(HERE, "hang")):
        time.sleep(0.02)


def ends(folder, argument):
    os.kill(os.getpid(), getattr(signal, argument))
    time.sleep(600)


def exits(folder, argument):
    os._exit(int(argument))


def fills_the_memory(folder, argument):
    held = []
    while True:
        held.append(b"x" * (64 << 20))


def recurses(folder, argument):
    def deeper():
        return deeper()

    sys.setrecursionlimit(10**9)
    deeper()


def daemon(folder, argument):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)


def daemon_that_is_stopped(folder, argument):
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getpid(), signal.SIGSTOP)


def children(folder, argument):
    for _ in range(20):
        if os.fork() == 0:
            time.sleep(600)


def child_that_holds_the_log(folder, argument):
    subprocess.Popen(["sleep", "600"], start_new_session=True)


def child_without_variables(folder, argument):
    subprocess.Popen(["sleep", "600"], start_new_session=True, env={})


def thread(folder, argument):
    threading.Thread(target=time.sleep, args=(600,)).start()


def parent(levels, number):
    process = os.getppid()
    for _ in range(levels - 1):
        with open(f"/proc/{process}/stat") as file:
            process = int(file.read().rpartition(")")[2].split()[1])
    os.kill(process, number)


def spoils_the_process(folder, argument):
    os.environ.clear()
    os.environ.update({"KERAS_BACKEND": "jax", "HOME": "/nowhere", "TMPDIR": "/nowhere"})
    keras.layers.Layer = keras.utils.set_random_seed = keras.backend = None
    json.dump = open.__class__
    sys.path.clear()
    sys.modules.pop("numpy")
    os.umask(0o777)


def leaves_the_folder(folder, argument):
    os.mkdir("away")
    os.chdir("away")
    os.rmdir("../away")


def removes_what_it_sees(folder, argument):
    for place in (os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"]):
        shutil.rmtree(place, ignore_errors=True)


def closes_everything(folder, argument):
    os.closerange(0, 1000)


def prints(folder, argument):
    for _ in range(40):
        os.write(1, b"\x1b[2J::error::\xff" * 60_000)


def lowers_limits(folder, argument):
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ignores_signals(folder, argument):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def removes_its_folder(folder, argument):
    shutil.rmtree(folder)
    os._exit(0)


def puts_a_file_in_its_place(folder, argument):
    shutil.rmtree(folder)
    open(folder, "w").close()
    os._exit(0)


def spoils_its_start(folder, argument):
    write(os.path.join(folder, "started"), b"[" * 10_000)
    os._exit(0)


def spoils_its_end(folder, argument):
    os.mkdir(os.path.join(folder, "ended.tmp"))
    os._exit(0)


def writes_under_home(folder, argument):
    os.makedirs(os.path.join(os.environ["HOME"], ".keras"), exist_ok=True)
    with open(os.path.join(os.environ["HOME"], ".keras", "keras.json"), "w") as file:
        file.write('{"floatx": "float64", "backend": "jax"}')


def lock_the_folder(folder, argument):
    os.chmod(folder, 0)


def drop(name):
    return lambda folder, argument: os.mkfifo(os.path.join(folder, name))


ACTS = {
    "raises": raises,
    "hangs": lambda folder, argument: time.sleep(600),
    "waits": waits,
    "ends": ends,
    "exits": exits,
    "fills-the-memory": fills_the_memory,
    "recurses": recurses,
    "reads-no-address": lambda folder, argument: ctypes.string_at(0),
    "holds-the-interpreter": lambda folder, argument: ctypes.PyDLL(None).sleep(600),
    "daemon": daemon,
    "daemon-that-is-stopped": daemon_that_is_stopped,
    "children": children,
    "child-that-holds-the-log": child_that_holds_the_log,
    "child-without-variables": child_without_variables,
    "thread": thread,
    "kills-the-worker": lambda folder, argument: (parent(1, signal.SIGKILL), time.sleep(600)),
    "kills-the-guard": lambda folder, argument: (parent(2, signal.SIGKILL), time.sleep(600)),
    "interrupts-the-worker": lambda folder, argument: (parent(1, signal.SIGINT), time.sleep(600)),
    "stops-the-worker": lambda folder, argument: parent(1, signal.SIGSTOP),
    "stops-the-guard": lambda folder, argument: parent(2, signal.SIGSTOP),
    "terminates-the-guard": lambda folder, argument: (parent(2, signal.SIGTERM), time.sleep(600)),
    "spoils-the-process": spoils_the_process,
    "leaves-the-folder": leaves_the_folder,
    "removes-what-it-sees": removes_what_it_sees,
    "closes-everything": closes_everything,
    "prints": prints,
    "lowers-limits": lowers_limits,
    "ignores-signals": ignores_signals,
    "removes-its-folder": removes_its_folder,
    "puts-a-file-in-its-place": puts_a_file_in_its_place,
    "spoils-its-start": spoils_its_start,
    "spoils-its-end": spoils_its_end,
    "writes-under-home": writes_under_home,
    "locks-its-folder": lock_the_folder,
    "pipe-for-response": lambda folder, argument: (
        os.mkfifo(os.path.join(folder, "response.json")),
        os._exit(0),
    ),
    "folder-for-response": lambda folder, argument: (
        os.mkdir(os.path.join(folder, "response.json")),
        os._exit(0),
    ),
    "loop-for-response": lambda folder, argument: (
        os.symlink("response.json", os.path.join(folder, "response.json")),
        os._exit(0),
    ),
    "device-for-response": lambda folder, argument: (
        os.symlink("/dev/zero", os.path.join(folder, "response.json")),
        os._exit(0),
    ),
    "torn-prediction": lambda folder, argument: (
        write(os.path.join(folder, "predicted.json"), b'{"schema": 1'),
        os._exit(0),
    ),
    "deep-prediction": lambda folder, argument: (
        write(os.path.join(folder, "predicted.json"), b"[" * 10_000),
        os._exit(0),
    ),
    "pipe-for-prediction": lambda folder, argument: (
        os.mkfifo(os.path.join(folder, "predicted.json")),
        os._exit(0),
    ),
}
