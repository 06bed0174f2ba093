# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's command line from its parts, for tools/run and tools/image."""
import re
import shlex

LONGEST = 4095


class Refused(Exception):
    pass


def split(name, text):
    """The words of an option of make, as a shell would split them."""
    try:
        return shlex.split(text)
    except ValueError as e:
        raise Refused(f'{name}: {str(e).lower()}') from None


def kernel_options(text):
    words = split('KOPTS', text)
    for word in words:
        if not re.fullmatch(r'[a-z_0-9.]+(=[^\s"]*)?', word):
            raise Refused(f'KOPTS: {word!r} is not of the form name=value')
    return words


def quoted(word):
    """A word of the kernel's command line: quoted when it must be, with \\" and \\\\ inside."""
    if word and not re.search(r'[\s"\\]', word):
        return word
    return '"' + word.replace('\\', '\\\\').replace('"', '\\"') + '"'


def join(options, args):
    line = ' '.join([*options, '--', *map(quoted, args)])
    if len(line.encode()) > LONGEST:
        raise Refused(f'ARGS: more than the {LONGEST} bytes a command line may have')
    return line
