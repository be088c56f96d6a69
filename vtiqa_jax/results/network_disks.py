"""Disks of other machines: tells whether a file lies on one."""

import re
from pathlib import Path

NETWORK_TYPES = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "fuse.sshfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
}  # fmt: skip
"""Linux's names of file systems that several machines may have mounted."""


def filesystem_type(path: Path, mountinfo: str) -> str:
    """Returns the type of the file system that an absolute path is on, by the text of /proc/self/mountinfo."""
    mount = (Path("/"), "")
    for line in mountinfo.splitlines():
        mounted, _, described = line.partition(" - ")
        # Spaces and the like are written as octal numbers.
        place = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), mounted.split(" ")[4]))
        if path.is_relative_to(place) and len(place.parts) >= len(mount[0].parts):  # of two, the later one is seen
            mount = place, described.split(" ")[0]
    return mount[1]


def is_on_network_disk(path: Path) -> bool:
    """Tells whether a file is, or would be, on a network disk; other systems than Linux do not say."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return filesystem_type(path.resolve(), mountinfo) in NETWORK_TYPES
