"""Checks of a proposed command: hidden characters, and forms that destroy, or fetch and run.

The marks are a help for people who read a command before they run it. A command without a mark is not safe by that:
shells have more ways to destroy something than a table can list.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Characters that draw nothing, though Unicode counts them as letters, marks or symbols."""


def hidden_characters(command: str) -> tuple[str, ...]:
    """The characters of ``command`` that a screen does not show as they are, each once, as "U+202E ...".

    They are control characters (tabs and newlines aside), bidirectional and zero-width characters, and blanks that a
    shell does not take for blanks: https://trojansource.codes.
    """
    found = dict.fromkeys(character for character in command if _is_hidden(character))
    return tuple(f"U+{ord(each):04X} {unicodedata.name(each, 'control character')}" for each in found)


def revealed(command: str) -> str:
    """``command`` with its hidden characters as <U+202E>."""
    return "".join(f"<U+{ord(each):04X}>" if _is_hidden(each) else each for each in command)


def _is_hidden(character: str) -> bool:
    if " " <= character <= "~" or character in "\n\t":
        return False
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _INVISIBLE


_HIDDEN_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"))


def marks(command: str) -> tuple[str, ...]:
    """The reasons to look at ``command`` twice, each a phrase after "it"; empty if the table has none."""
    if len(command) > _MOST:
        return ("is too long to be checked",)
    bare = re.sub(r"\$\{?IFS\}?", " ", command)
    # Quotes and backslashes inside of a word change nothing for a shell: r\m and 'rm' are rm.
    texts = {command, bare, re.sub(r"[\"'\\]", "", bare)}
    return tuple(dict.fromkeys(reason for reason, form in _FORMS if any(form.search(text) for text in texts)))


_MOST: Final = 2000
"""Characters of a command that is checked; the time for that grows faster than the length."""

_START: Final = r"(?:^|[\s;&|(){}`/\\!\"'=])"
"""Text that can come before the name of a program: its path, too."""

_SHELLS: Final = r"(?:(?:ba|z|da|k|a|c|tc|fi|pw)?sh|powershell|python[\d.]*|perl|ruby|node|php|osascript|nu)"
_FETCH: Final = r"(?:curl|wget|fetch|aria2c|http|https|nc|ncat|iwr|irm)"
_DISK: Final = r"/dev/(?:r?disk|sd|hd|vd|xvd|nvme|mmcblk|dm-|md|mapper|loop)"
_REST: Final = r"(?:[^;&|\n]|&>|>&|2>&1)*?"
"""The arguments of one command."""


def _words(*names: str, rest: str = r"(?![\w-])") -> str:
    return rf"{_START}(?:{'|'.join(names)}){rest}"


def _git(arguments: str) -> str:
    return _words("git", rest=rf"(?=\s){_REST}(?<![\w-]){arguments}")


def _any_case(form: str) -> str:
    return f"(?i:{form})"


_FORMS: Final = tuple(
    (reason, re.compile("|".join(patterns), re.MULTILINE | re.DOTALL))
    for reason, *patterns in (
        ("deletes files",
         _words("rm", "unlink", "shred", "srm", r"wipe", "truncate"),
         _words("find", rest=rf"(?=\s){_REST}\s-delete\b"),
         _words("rsync", rest=rf"(?=\s){_REST}--(?:delete|remove-source-files)"),
         r"--remove-files\b|\brmtree\b|\bos\.(?:remove|unlink|rmdir)\b|\bFile\.delete\b|\bunlinkSync\b",
         _words("mv", rest=rf"(?=\s){_REST}\s/dev/null"),
         _words("gsutil", rest=rf"(?=\s){_REST}\brm\b"),
         _words("aws", rest=rf"(?=\s){_REST}\bs3\s+(?:rm|rb|sync\s{_REST}--delete)\b"),
         _any_case(r"\b(?:Remove-Item|Clear-Content|Clear-RecycleBin)\b"),
         _any_case(r"(?:^|[;&|({]\s*|\s)(?:ri|rd|rmdir|del|erase)\s+(?:\S+\s+)*?(?:/[sfq]\b|-r|-fo)")),
        ("overwrites a disk or a file system",
         _words("dd", rest=rf"(?=\s){_REST}\bof="),
         _words(r"mkfs(?:\.\w+)?", "mke2fs", "mkswap", "wipefs", "blkdiscard", "fdisk", "sfdisk", "gdisk", "sgdisk",
                "parted", "lvremove", "vgremove", "pvremove", "newfs"),
         rf">\|?\s*{_DISK}",
         _words("tee", "cp", "mv", rest=rf"(?=\s){_REST}\s{_DISK}\S*\s*(?:$|[;&|)])"),
         r"\b(?:zpool|zfs)\s+destroy\b|\bluks(?:Format|Erase)\b|\bsubvolume\s+delete\b",
         r"--security-erase|\bnvme\s+format\b",
         r"\bdiskutil\s+(?:\S+\s+)?(?:erase|partition|zero|secureErase)",
         _any_case(r"\b(?:Format-Volume|Clear-Disk|Initialize-Disk|Remove-Partition)\b|\bdiskpart\b"),
         _any_case(r"(?:^|[;&|]\s*)format\s+[a-z]:|\bvssadmin\s+delete\b|\bcipher\s+/w")),
        ("overwrites a system file",
         rf"(?:>\|?|{_START}tee\s{_REST})\s*/(?:etc|boot|usr|bin|sbin|lib|System|Library)/"),
        ("fetches code and runs it",
         rf"{_START}{_FETCH}\b.*\|\s*(?:(?:sudo|doas|env|exec|nohup)\s+)*(?:-\S+\s+)*(?:\S*/)?{_SHELLS}(?![\w.])",
         rf"(?:{_SHELLS}|source|\.|eval)\s{_REST}(?:<\(|\$\(|`)\s*(?:\S*/)?{_FETCH}\b",
         rf"{_START}{_FETCH}\b.*(?:;|&&|\n)\s*(?:sudo\s+)?(?:chmod\s+\S*[x75]|\./|{_SHELLS}\s)",
         _any_case(r"\bDownload(?:String|File)\b|\b(?:mshta|regsvr32|certutil\s+\S*urlcache)\b")),
        ("runs text as commands",
         r"\|\s*(?:(?:sudo|doas|env|exec)\s+)*(?:-\S+\s+)*(?:\S*/)?(?:ba|z|da|k|a|fi)?sh(?:\s+-s?)?\s*(?:$|[;&|)])",
         _words("eval"),
         _any_case(r"\b(?:iex|Invoke-Expression)\b|\s-(?:enc|encodedcommand)\b")),
        ("connects a shell or a file to the network",
         r"/dev/(?:tcp|udp)/",
         _words("nc", "ncat", rest=rf"(?=\s){_REST}\s-\w*[ec]\b")),
        ("runs with the rights of another user",
         _any_case(_words("sudo", "doas", "su", "pkexec", "runuser", "gsudo", "runas")),
         _any_case(r"-Verb\s+RunAs\b")),
        ("changes owners or permissions of a whole folder, or for everybody",
         _words("chmod", "chown", "chgrp", "setfacl", "chattr", rest=rf"(?=\s){_REST}(?:\s-\w*R|--recursive)"),
         _words("chmod", rest=rf"(?=\s){_REST}\s(?:0?[0-7][0-7][2367]\b|[augo]*[ao]\+\w*w)"),
         r"\bicacls\b"),
        ("discards or rewrites work in git",
         _git(rf"push\b{_REST}(?:\s-\w*f|--force|--mirror|--delete|--prune|\s\+\S|\s:\S)"),
         _git(rf"reset\b{_REST}--(?:hard|merge|keep)"),
         _git(rf"clean\b{_REST}\s-\w*[fdxX]"),
         _git(r"(?:filter-branch|filter-repo|rebase|restore|replace|rm)\b"),
         _git(rf"checkout\b{_REST}(?:\s--(?:\s|$)|\s-\w*f|--force|\s\.(?:\s|$))"),
         _git(rf"switch\b{_REST}(?:\s-\w*f|--force|--discard-changes)"),
         _git(rf"branch\b{_REST}(?:\s-\w*[DM]|--delete\s{_REST}--force)"),
         _git(r"(?:stash\s+(?:drop|clear)|reflog\s+(?:expire|delete)|update-ref\s+-d)"),
         _git(r"(?:--amend|--prune=|\btag\s+-d|\bworktree\s+remove|\bfilter-repo)")),
        ("deletes data or resources of a service",
         _any_case(r"\bdrop\s+(?:table|database|schema|index|view|user|role)\b|\btruncate\s+table\b|\bdelete\s+from\b"),
         _any_case(r"\b(?:flushall|flushdb|dropDatabase|dropdb)\b"),
         _any_case(r"\b(?:docker|podman|nerdctl)\s.*(?<![-\w])(?:prune|rm|rmi|kill)\b"),
         _any_case(r"\bcompose\b.*\bdown\b.*\s(?:-v|--volumes)\b"),
         _any_case(r"\b(?:kubectl|oc)\s.*\b(?:delete|drain)\b|\bhelm\s+(?:uninstall|delete)\b"),
         _any_case(r"\b(?:terraform|tofu|pulumi|cdk)\s.*\bdestroy\b"),
         _any_case(r"\b(?:gh|glab|az|gcloud|aws|doctl|heroku|flyctl|fly)\s.*\b(?:delete|destroy|terminate)\b")),
        ("ends processes, or the system",
         _words("killall", "pkill", "kill", "shutdown", "reboot", "halt", "poweroff", "telinit"),
         _words("init", rest=r"\s+[06]\b"),
         r"\bsystemctl\s+(?:\S+\s+)*(?:stop|disable|mask|isolate|kill|poweroff|reboot|halt|emergency|rescue)\b",
         r"\b(?:Stop-Computer|Restart-Computer|Stop-Process|taskkill)\b",
         r"([\w:.]+)\s*\(\)\s*\{[^}]*\1\s*\|\s*\1\s*&"),  # a fork bomb
        ("removes software, users, jobs or protection",
         _any_case(
             r"\b(?:apt|apt-get|aptitude|dnf|yum|zypper|brew|snap|flatpak|winget|choco|scoop|pkg|apk)"
             r"\s.*\b(?:remove|purge|autoremove|uninstall|erase|del)\b"
         ),
         _any_case(r"\bpacman\s+-\w*R"),
         _any_case(_words("userdel", "deluser", "groupdel", "dropuser")),
         _any_case(r"\bcrontab\s+(?:-\S+\s+)*-\w*r\b|\bhistory\s+-c\b|\breg(?:\.exe)?\s+delete\b"),
         _any_case(r"\b(?:iptables|ip6tables|nft)\s.*(?:-F|--flush|flush)\b"),
         _any_case(r"\bufw\s+(?:disable|reset)\b|\bsetenforce\s+0\b"),
         _any_case(r"\bSet-ExecutionPolicy\b|\bSet-MpPreference\b"),
         _any_case(r"\bcsrutil\s+disable\b|\bspctl\s+--master-disable\b")),
    )
)  # fmt: skip
"""A reason, and the forms that have it."""
