#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many words the sentences of documents and comments have: median and 90th percentile.

`sentences.py` prints both for every document (*.md) and for the comments of all sources, and fails
when a document is above MEDIAN_MAX or P90_MAX. `--longest N` lists the N longest sentences with their
places, `--self-test` shows that the limits can be missed. Headings, tables, code, pictures and the
targets of links have no sentences; an inline code span is one word.
"""

import re
import statistics
import subprocess
import sys

MEDIAN_MAX, P90_MAX = 18, 28
# What ends with a full stop and is no end of a sentence.
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|etc|vs|approx|no|fig|cf)\.$", re.IGNORECASE)
END = re.compile(r"[.?!][\"')*_”’]*(?=\s|$)")


def paragraphs_of_markdown(text):
    """Yields (line number, text) of each paragraph and list item."""
    block, start, fenced = [], 0, False
    for number, line in enumerate(text.splitlines() + [""], 1):
        fence = re.match(r"\s*(```|~~~)", line)
        fenced ^= bool(fence)
        item = re.match(r"\s*([-*+]|\d+\.)\s+", line)
        is_prose = line.strip() and not fence and not fenced and not re.match(r"\s*([#|<]|!\[|    )", line)
        if block and (not is_prose or item):
            yield start, " ".join(block)
            block = []
        if is_prose:
            start = start if block else number
            block.append(line[item.end():] if item else line.strip())


def paragraphs_of_source(text, path):
    """Yields (line number, text) of each comment, and of each paragraph of a long one. A line with
    gaps in it is a table's."""
    if path.endswith((".c", ".h", ".cpp", ".hpp", ".def")):
        comment, mark = r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|(?:^[ \t]*//[^\n]*\n)+|//[^\n]*', r"\s*(///?<?|/\*\*?<?|\*)?\s?"
    else:
        comment, mark = r'"""(?:[^"]|"[^"])*?"""|(?:^[ \t]*#[^\n]*\n)+', r'\s*(#[:!#]?|""")?\s?'
    for match in re.finditer(comment, text, re.MULTILINE | re.DOTALL):
        if re.match('"[^"]|""(?!")', match.group()):
            continue  # a string, with what looks like a comment in it
        start, block = text.count("\n", 0, match.start()) + 1, []
        for number, line in enumerate(match.group().splitlines() + [""], start):
            line = re.sub(r'(\*/|""")?\s*$', "", re.sub("^" + mark, "", line))
            is_prose = line and not re.match(r"SPDX-|shellcheck |clang-format |-{3}|NOLINT|/usr/bin", line)
            if block and (not is_prose or re.search(r"\S {3,}\S", line)):
                yield start, " ".join(block)
                block = []
            elif is_prose and not re.search(r"\S {3,}\S", line):
                start = start if block else number
                block.append(line.strip())


def sentences(paragraph):
    text = re.sub(r"`[^`]*`", "code", paragraph)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"https?://\S+", "link", text)
    at = 0
    for end in END.finditer(text):
        if ABBREVIATIONS.search(text[at:end.start() + 1]):
            continue
        yield text[at:end.end()].strip()
        at = end.end()
    yield text[at:].strip()


def words(sentence):
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def measure(path, text):
    """(words, line number, sentence) of each sentence of three words or more."""
    paragraphs = paragraphs_of_markdown(text) if path.endswith(".md") else paragraphs_of_source(text, path)
    return [(words(sentence), line, sentence) for line, paragraph in paragraphs
            for sentence in sentences(paragraph) if words(sentence) > 2]


def summary(found):
    counts = sorted(count for count, _, _ in found)
    return statistics.median(counts), counts[(len(counts) * 9) // 10]


def is_over(found):
    return len(found) > 9 and (summary(found)[0] > MEDIAN_MAX or summary(found)[1] > P90_MAX)


def self_test():
    short, middle, long = "Drop the client. ", "word " * 19 + "end. ", "word " * 40 + "end. "
    samples = [(False, "The record is dropped and counted. " * 20), (True, middle * 20),
               (True, short * 17 + long * 3), (False, short * 19 + long),
               (False, "| " + "word " * 50 + "|\n```\n" + "word " * 50 + "\n```\n# " + "word " * 50 + "\n"
                + "- Drop it now.\n" * 20)]
    wrong = [text for expected, text in samples if is_over(measure("a.md", text)) != expected]
    comment = measure("a.c", "int a; /**< one two three\n            four */\n// Five six seven\n// eight nine ten.\n")
    if [count for count, _, _ in comment] != [4, 6]:
        wrong.append(str(comment))
    print(*wrong, f"self-test: {len(wrong)} wrong", sep="\n")
    return bool(wrong)


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    listing = subprocess.run(["git", "ls-files", "*.md", "*.[ch]", "*.cpp", "*.hpp", "*.def", "*.py", "*.sh",
                              "Makefile", ".ci/run"], capture_output=True, text=True, check=True)
    found = {}
    for path in listing.stdout.split():
        try:
            with open(path, encoding="utf-8") as file:
                found[path] = measure(path, file.read())
        except FileNotFoundError:  # removed, and not yet committed
            pass
    documents = {path: items for path, items in found.items() if path.endswith(".md") and items}
    comments = [item for path, items in found.items() if path not in documents for item in items]
    over = 0
    for path, items in [*documents.items(), ("all documents", sum(documents.values(), [])), ("comments", comments)]:
        median, p90 = summary(items)
        mark = "over the limit" if path != "comments" and is_over(items) else ""
        over += bool(mark)
        print(f"{path:28} {len(items):5} sentences, words: median {median:4.1f}, 90th percentile {p90:3} {mark}".rstrip())
    if "--longest" in sys.argv:
        count = int(sys.argv[sys.argv.index("--longest") + 1])
        everything = [(*item, path) for path, items in found.items() for item in items]
        for size, line, sentence, path in sorted(everything, reverse=True)[:count]:
            print(f"{path}:{line}: {size} words: {sentence}")
    return bool(over)


if __name__ == "__main__":
    sys.exit(main())
