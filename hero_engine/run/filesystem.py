"""The file system that a path is on: its kind, whether other machines may be writing there, too,
and whether it is full.

Between machines nothing is shared that only one kernel knows: SQLite's WAL index is memory, and a
lock may be known to the machine alone that took it.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePath

# As mount tables name them, FUSE's without `fuse.` (most of FUSE is local): over a network, several
# machines on one disk, object stores, and folders that a virtual machine shares with its host.
SHARED = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "smbnetfs", "afpfs", "webdav",
    "davfs", "davfs2", "curlftpfs", "sshfs", "rclone", "afs", "openafs", "coda", "lustre", "gpfs",
    "ceph", "ceph-fuse", "beegfs", "glusterfs", "orangefs", "pvfs2", "moosefs", "lizardfs",
    "wekafs", "juicefs", "seaweedfs", "hdfs", "ocfs2", "gfs2", "s3fs", "gcsfuse", "goofys",
    "mountpoint-s3", "blobfuse", "blobfuse2", "9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs",
    "vmhgfs-fuse", "grpcfuse", "osxfs",
})  # fmt: skip


def file_system(path: PurePath, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that an absolute path without links is on; "" if unknown.

    Args:
        path: need not exist.
        mounts: (mount point, type), in the order of mounting.
    """
    # Of equally long ones the later: it is mounted over the earlier.
    above = [(len(PurePath(at).parts), kind) for at, kind in mounts if path.is_relative_to(at)]
    deepest = max((depth for depth, _ in above), default=0)
    return next((kind for depth, kind in reversed(above) if depth == deepest), "")


def is_shared(kind: str) -> bool:
    """Whether several machines may write to a file system of this type at once."""
    return kind.lower().removeprefix("fuse.") in SHARED


def shared_file_system(path: Path) -> str | None:
    """The type of the file system that `path` is on, if other machines may write there; or None.

    What cannot be found out counts as local.
    """
    kind = file_system(PurePath(os.path.realpath(path)), _mounts())
    return kind if is_shared(kind) else None


def _mounts() -> list[tuple[str, str]]:
    try:
        return parse_mounts(Path("/proc/self/mounts").read_text("utf-8", "surrogateescape"))
    except OSError:  # not Linux
        import psutil  # takes longer to import than most commands take

        return [(mount.mountpoint, mount.fstype) for mount in psutil.disk_partitions(all=True)]


def parse_mounts(table: str) -> list[tuple[str, str]]:
    """(mount point, type) of each line of Linux's mount table, see proc_mounts(5) and getmntent(3).

    Spaces and the like in a mount point are written as a backslash and three octal digits.
    """
    lines = [line.split(" ") for line in table.split("\n") if line]
    return [
        (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), at), kind)
        for _, at, kind, *_ in lines
    ]


FULL = 1 << 20
"""With less than this much of a disk free, in bytes, an engine cannot even say that it is full."""


def is_full(path: Path) -> bool:
    """Whether less than `FULL` is free where `path` is."""
    try:
        return shutil.disk_usage(path).free < FULL
    except OSError:
        return False
