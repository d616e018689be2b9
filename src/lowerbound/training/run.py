"""The run folder: everything about one training, written and read in one place, atomically, without pickle.

=====================  ==============================================================================
``spec.json``          the spec, the record of the data, version, machine
``metrics.jsonl``      one line an epoch: every term, the rate per dimension, alarms
``alarms.json``        each alarm with its cause and its cures
``weights.safetensors``  the weights with the best validation bound
``checkpoints/``       the last two states a run can go on from, each with its own manifest
``snapshots/``         weights on the way, where they were asked for: a file for each step
``manifest.json``      SHA-256 of the files above
=====================  ==============================================================================
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.training.spec import FORMAT, Spec

HASHED = ("spec.json", "metrics.jsonl", "alarms.json", "weights.safetensors")


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a neighbour, fsync, rename, fsync the folder: a reader sees the old file or the new one."""
    neighbour = path.with_name(f".{path.name}.part")
    with neighbour.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    neighbour.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(value: Any) -> bytes:
    """UTF-8 JSON; a number that JSON cannot hold is an error here, never a NaN in a file."""
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Run:
    """A run folder.

    Args:
        path: the folder. Nothing is created until :meth:`create`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def create(self, spec: Spec, record: Mapping[str, Any], environment: Mapping[str, Any], version: str) -> None:
        """Make the folder and write spec.json; a folder that exists is refused."""
        self.refuse_existing()
        header = {"format": FORMAT, "version": version, "spec": spec.settings(), "data": dict(record)}
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            (part / "checkpoints").mkdir(parents=True)
            write_atomically(part / "spec.json", to_json(header | {"environment": dict(environment)}))
            part.replace(self.path)
        except OSError as error:
            what = f"cannot be written ({error.strerror})"
            raise InputError(what, where=self.path, mend="choose another --out") from None

    def refuse_existing(self) -> None:
        """An InputError if something is in the way of a new run."""
        if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            mend = "choose another --out, or continue it with --resume"
            raise InputError("exists already", where=self.path, mend=mend)

    def header(self) -> dict[str, Any]:
        """spec.json, checked: that this is a run, and of a format that this version reads."""
        if not self.path.is_dir():
            raise InputError("no such run folder", where=self.path, mend="give the folder that train wrote")
        header = self._read_object("spec.json")
        found = header.get("format")
        if not isinstance(found, int) or found > FORMAT:
            what = f"is of run format {found!r}, this version reads up to {FORMAT}"
            raise InputError(what, where=self.path, mend="upgrade lowerbound")
        return header

    def spec(self) -> Spec:
        """The spec of the run."""
        return Spec.of(self.header()["spec"], where=self.path / "spec.json")

    def record(self) -> dict[str, Any]:
        """What is known of the data: name, hash, kind, shape, splits, binarisation."""
        return self.header()["data"]

    def metrics(self) -> list[dict[str, Any]]:
        """One row an epoch, in order."""
        lines = self._read("metrics.jsonl").decode().splitlines()
        return [json.loads(line) for line in lines]

    def alarms(self) -> list[dict[str, Any]]:
        """The alarms raised, each {name, severity, epoch, message, cause, cures}."""
        return self.read_json("alarms.json") if (self.path / "alarms.json").exists() else []

    def weights(self) -> dict[str, Tensor]:
        """The best weights, verified against the manifest."""
        self.verify("weights.safetensors")
        return parse_tensors(self._read("weights.safetensors"), self.path / "weights.safetensors")

    def write_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Write weights.safetensors atomically."""
        write_atomically(self.path / "weights.safetensors", pack(tensors))

    def write_snapshot(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights after a step, beside those of earlier ones."""
        self.write_file(f"snapshots/{step:09d}.safetensors", pack(tensors))

    def snapshots(self) -> list[int]:
        """The steps after which weights were kept, in order."""
        return sorted(int(path.stem) for path in (self.path / "snapshots").glob("[0-9]*.safetensors"))

    def snapshot(self, step: int) -> dict[str, Tensor]:
        """The weights after a step."""
        name = f"snapshots/{step:09d}.safetensors"
        return parse_tensors(self._read(name), self.path / name)

    def append_metrics(self, row: Mapping[str, Any]) -> int:
        """Add one line; returns the file's length after it."""
        with (self.path / "metrics.jsonl").open("ab") as file:
            file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            return file.tell()

    def truncate_metrics(self, length: int) -> None:
        """Forget the lines after ``length`` bytes: epochs that a resumed run will write again."""
        path = self.path / "metrics.jsonl"
        path.touch()
        with path.open("r+b") as file:
            file.truncate(length)

    def read_json(self, name: str) -> Any:
        """A JSON file of the run, or an InputError that names it."""
        content = self._read(name)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise InputError(
                "is damaged: no valid JSON", where=self.path / name, mend="restore it or train again"
            ) from None

    def _read_object(self, name: str) -> dict[str, Any]:
        found = self.read_json(name)
        if not isinstance(found, dict):
            raise InputError("is damaged: no JSON object", where=self.path / name, mend="restore it or train again")
        return found

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run atomically."""
        write_atomically(self.path / name, to_json(value))

    def write_file(self, name: str, content: bytes) -> Path:
        """Write any file of the run (report, figure) atomically; returns its path."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
        return target

    def write_manifest(self) -> None:
        """SHA-256 of every file that figures are read from."""
        present = [name for name in HASHED if (self.path / name).exists()]
        self.write_json("manifest.json", {name: digest(self.path / name) for name in present})

    def sealed(self) -> bool:
        """Whether the run was finished: its manifest is there."""
        return (self.path / "manifest.json").exists()

    def unseal(self) -> None:
        """Take the manifest away before files change again."""
        (self.path / "manifest.json").unlink(missing_ok=True)

    def verify(self, *names: str) -> None:
        """Every named file (default: all in the manifest) is there and unaltered, or an InputError names it."""
        manifest = self._read_object("manifest.json")
        for name in names or manifest:
            if name not in manifest:
                raise InputError(f"does not list {name}", where=self.path / "manifest.json", mend="train again")
            self._read(name)
            if digest(self.path / name) != manifest[name]:
                what = "was altered: its SHA-256 differs from the manifest"
                raise InputError(what, where=self.path / name, mend="restore it, or train again")

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            mend = "is the run unfinished? continue it with --resume" if self.path.is_dir() else "check the path"
            raise InputError("is missing", where=self.path / name, mend=mend) from None
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=self.path / name, mend="check it") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: a second process is refused; a killed one leaves no lock behind."""
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                what = "another process is training in it"
                raise InputError(what, where=self.path, mend="wait for it, or choose another --out") from None
            yield

    def checkpoints(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        folder = self.path / "checkpoints"
        return sorted(p for p in folder.glob("[0-9]*") if (p / "manifest.json").exists()) if folder.is_dir() else []

    def forget_checkpoints_after(self, step: int) -> None:
        """Delete the states of later steps: runs that are trained together go on from a step that all of them have."""
        for found in self.checkpoints():
            if int(found.name) > step:
                shutil.rmtree(found)

    def write_checkpoint(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write one state and its manifest into a folder of its own, rename it into place, keep the last two."""
        target = self.path / "checkpoints" / f"{step:09d}"
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        contents = {
            "state.safetensors": pack(tensors),
            "state.json": to_json(state),
        }
        for name, content in contents.items():
            write_atomically(part / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_atomically(part / "manifest.json", to_json(hashes))
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        sync_folder(target.parent)
        for old in self.checkpoints()[:-2]:
            shutil.rmtree(old)

    def read_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The newest state; a damaged one is named together with the good one before it."""
        found = self.checkpoints()
        if not found:
            raise InputError(
                "holds no checkpoint to resume from", where=self.path, mend="train it afresh in another folder"
            )
        newest = found[-1]
        try:
            hashes = json.loads((newest / "manifest.json").read_bytes())
            contents = {name: (newest / name).read_bytes() for name in ("state.safetensors", "state.json")}
            damaged = [name for name, c in contents.items() if hashlib.sha256(c).hexdigest() != hashes.get(name)]
        except (OSError, ValueError):
            damaged = ["manifest.json"]
        if damaged:
            mend = f"delete that folder to go on from {found[-2].name}" if found[1:] else "train again"
            raise InputError("was altered: its SHA-256 differs from the manifest", where=newest / damaged[0], mend=mend)
        return parse_tensors(contents["state.safetensors"], newest), json.loads(contents["state.json"])


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors; each is copied, since tied weights share memory and the format does not."""
    return save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})


def parse_tensors(content: bytes, where: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or an InputError that names it."""
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"is damaged ({error})", where=where, mend="restore it, or train again") from None
