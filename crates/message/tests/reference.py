"""A second implementation of the wire format and the digests, written from docs/reference/wire.md and digests.md alone.

    reference.py rows FILE      reads rows in source form, prints what they are in the log
    reference.py vectors DIR    checks the vectors in a directory

Standard library only. FILE holds a JSON object a line: first the contract's types and the digest key, then rows.
"""

import base64
import datetime
import json
import re
import sys
from decimal import Decimal, localcontext

# BLAKE3, from its specification ("BLAKE3: one function, fast everywhere", section 2).

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED_HASH = 1, 2, 4, 8, 16
BLOCK_BYTES, CHUNK_BYTES = 64, 1024


def _unrolled_compress():
    """Writes the seven rounds out, because a loop over them is several times as slow here."""
    lines = ["def compress(h, m, counter, length, flags):", " v0,v1,v2,v3,v4,v5,v6,v7=h",
             f" v8,v9,v10,v11={','.join(map(str, IV[:4]))}",
             " v12,v13,v14,v15=counter&0xffffffff,counter>>32,length,flags",
             " " + ",".join(f"m{i}" for i in range(16)) + "=m"]
    columns = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    order = list(range(16))
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(columns):
            for word, first, second in ((order[2 * at], 16, 12), (order[2 * at + 1], 8, 7)):
                lines += [f" v{a}=(v{a}+v{b}+m{word})&0xffffffff",
                          f" v{d}^=v{a};v{d}=(v{d}>>{first}|v{d}<<{32 - first})&0xffffffff",
                          f" v{c}=(v{c}+v{d})&0xffffffff",
                          f" v{b}^=v{c};v{b}=(v{b}>>{second}|v{b}<<{32 - second})&0xffffffff"]
        order = [order[place] for place in PERMUTATION]
    lines.append(" return (" + ",".join(f"v{i}^v{i + 8}" for i in range(8)) + ")")
    space = {}
    exec("\n".join(lines), space)
    return space["compress"]


compress = _unrolled_compress()


def words(data):
    return tuple(int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4))


def chunk(data, counter, key, flags, last):
    """The chaining value of a chunk; with `last` a function that compresses its last block with more flags."""
    blocks = [data[at:at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)] or [b""]
    value = key
    for at, block in enumerate(blocks):
        flag = flags | (CHUNK_START if at == 0 else 0) | (CHUNK_END if at == len(blocks) - 1 else 0)
        flag |= last if at == len(blocks) - 1 else 0
        value = compress(value, words(block.ljust(BLOCK_BYTES, b"\0")), counter, len(block), flag)
    return value


def tree(data, counter, key, flags, root):
    if len(data) <= CHUNK_BYTES:
        return chunk(data, counter, key, flags, root)
    chunks = (len(data) - 1) // CHUNK_BYTES
    left = (1 << (chunks.bit_length() - 1)) * CHUNK_BYTES
    below = tree(data[:left], counter, key, flags, 0) + tree(data[left:], counter + left // CHUNK_BYTES, key, flags, 0)
    return compress(key, below, 0, BLOCK_BYTES, flags | PARENT | root)


def blake3(data, key=None):
    """The first 32 bytes."""
    start, flags = (IV, 0) if key is None else (words(key), KEYED_HASH)
    return b"".join(word.to_bytes(4, "little") for word in tree(data, 0, start, flags, ROOT))


# wire.md, "Record key"

def murmur2(data):
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at:at + 4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = (value * factor & mask) ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


def partition(data, partitions):
    return (murmur2(data) & 0x7FFFFFFF) % partitions


# wire.md, "Value": RFC 8785

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def string(text):
    return '"' + "".join(ESCAPES.get(c) or (c if c >= " " else f"\\u{ord(c):04x}") for c in text) + '"'


def members(pairs):
    """An object of names and canonical values; those that are None are left out."""
    there = sorted(((name, value) for name, value in pairs if value is not None),
                   key=lambda pair: pair[0].encode("utf-16-be"))
    return "{" + ",".join(f"{string(name)}:{value}" for name, value in there) + "}"


def ecmascript(number):
    """ECMAScript's Number::toString, from the shortest digits that read back the same, which `repr` gives."""
    if number == 0:
        return "0"
    if number < 0:
        return "-" + ecmascript(-number)
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + (len(whole) if whole.strip("0") else len(digits) - len(fraction))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    sign = "+" if point > 0 else "-"
    return digits[0] + ("." + digits[1:] if count > 1 else "") + "e" + sign + str(abs(point - 1))


# wire.md, "Values" and "Source form"

class Broken(Exception):
    """A value that cannot be read without loss."""


class Number(str):
    """A JSON number as its text."""


def exact(given, scale):
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", given):
        raise Broken
    with localcontext() as context:
        context.prec = 100
        scaled = Decimal(given).scaleb(scale)
        if scaled != scaled.to_integral_value():
            raise Broken
        return int(scaled)


def decimal_text(digits, scale):
    text = str(abs(digits)).rjust(scale + 1, "0")
    return ("-" if digits < 0 else "") + (text[:-scale] + "." + text[-scale:] if scale else text)


def timestamp_text(given):
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})0*)?)?"
                         r"(?:([Zz])|([+-])(\d\d):?(\d\d)?)", given, re.ASCII)
    if not found:
        raise Broken
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    # Python has no year 0: reckon in the next cycle of 400 years, which has the same days.
    moved = 400 if year == "0000" else 0
    moment = datetime.datetime(int(year) + moved, int(month), int(day), int(hour), int(minute), int(second or 0),
                               int((fraction or "0").ljust(6, "0")))
    offset = datetime.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    moment += offset if sign == "-" else -offset
    return f"{moment.year - moved:04d}-{moment.month:02d}-{moment.day:02d}T{moment:%H:%M:%S}.{moment.microsecond:06d}Z"


UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def duration_text(given):
    if isinstance(given, Number):
        micros = exact(given, 0)
    else:
        digits, unit = re.fullmatch(r"([0-9]+)(ms|s|m|h|d|w)", given).groups()
        micros = int(digits) * UNITS[unit]
    seconds, rest = divmod(abs(micros), 1_000_000)
    return f"{'-' if micros < 0 else ''}PT{seconds}.{rest:06d}S"


def text(shape, given):
    """The canonical text of a scalar in source form; not for approximate numbers."""
    kind = shape["type"]
    if kind in ("string", "enum"):
        return given
    if kind == "integer":
        return str(exact(given, 0))
    if kind == "decimal":
        return decimal_text(exact(given, shape["scale"]), shape["scale"])
    if kind == "boolean":
        return {"True": "true", "False": "false", "1": "true", "0": "false"}[str(given)]
    if kind == "date":
        return given
    if kind == "timestamp":
        return timestamp_text(given)
    if kind == "duration":
        return duration_text(given)
    if kind == "uuid":
        digits = given.replace("-", "").lower()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if kind == "bytes":
        return base64.b64encode(bytes.fromhex(given.removeprefix("\\x"))).decode()
    raise Broken


def canonical(shape, given):
    """The canonical JSON of a value in source form; None for no value."""
    kind = shape["type"]
    if given is None:
        return None
    if kind in ("object", "map", "list") and isinstance(given, str):
        given = parse(given)
    if kind == "object":
        return members((name, canonical(below, given.get(name))) for name, below in shape["members"].items())
    if kind == "map":
        return members((name, canonical(shape["of"], value)) for name, value in given.items())
    if kind == "list":
        return "[" + ",".join(canonical(shape["of"], value) for value in given) + "]"
    if kind == "approximate":
        return ecmascript(float(given))
    return text(shape, given) if kind == "boolean" else string(text(shape, given))


def parse(source):
    return json.loads(source, parse_int=Number, parse_float=Number)


# digests.md

DOMAINS = {"state": 1, "event": 2, "raw": 3, "tombstone": 4, "written": 5}


def digest(key, domain, record_key, content):
    framed = bytes([DOMAINS[domain]])
    for part in (record_key, content):
        framed += len(part).to_bytes(8, "little") + part
    return blake3(framed, key)[:16]


def bucket(record_key):
    return blake3(record_key)[0] % 64


def sums(records):
    buckets = [[0, 0, 0] for _ in range(64)]
    for record_key, sequence, one in records:
        sums_of = buckets[bucket(record_key)]
        sums_of[0] = (sums_of[0] + 1) % 2**64
        sums_of[1] = (sums_of[1] + int.from_bytes(one, "little")) % 2**128
        sums_of[2] = (sums_of[2] + sequence) % 2**64
    parts = (c.to_bytes(8, "little") + d.to_bytes(16, "little") + s.to_bytes(8, "little") for c, d, s in buckets)
    return b"\1" + b"".join(parts)


def rows(path):
    with open(path, encoding="utf-8") as lines:
        head = json.loads(next(lines))
        shapes, key = head["attributes"], bytes.fromhex(head["digestKey"])
        for line in lines:
            row = parse(line)
            texts = [string(text(shapes[name], row[name])) for name in head["key"]]
            record_key = ("[" + ",".join(texts) + "]").encode()
            chosen = [texts[head["key"].index(name)] for name in head["partitionBy"]]
            place = partition(("[" + ",".join(chosen) + "]").encode(), 12)
            values = [(name, canonical(shape, row.get(name))) for name, shape in shapes.items()]
            state = members(pair for pair in values if pair[0] not in head["key"]).encode()
            digests = [digest(key, "state", record_key, state).hex()]
            if row.get("written"):
                digests.append(digest(key, "written", record_key, members(values).encode()).hex())
            answer = {"key": record_key.decode(), "bucket": bucket(record_key), "partition": place,
                      "state": state.decode(), "digests": digests}
            print(json.dumps(answer))


def vectors(folder):
    """Prints how many vectors of each file agree; exits 1 at the first that does not."""
    def load(name):
        with open(f"{folder}/{name}.json", encoding="utf-8") as file:
            return json.load(file)

    def check(name, count, wrong):
        if wrong:
            sys.exit(f"{name}: {wrong[0]}")
        print(f"{name} {count}")

    cases = load("keys")
    def key_of(case):
        record_key = ("[" + ",".join(map(string, case["texts"])) + "]").encode()
        return [record_key.decode(), bucket(record_key), murmur2(record_key), partition(record_key, 12)]
    check("keys", len(cases), [c for c in cases if key_of(c) != [c["key"], c["bucket"], c["murmur2"], c["partitionOf12"]]])
    cases = load("values")
    check("values", len(cases), [c for c in cases if canonical(c["shape"], parse(c["source"])) != c["canonical"]])
    cases = load("digests")
    def digest_of(case):
        key, record_key, content = (bytes.fromhex(case[name]) for name in ("digestKey", "recordKey", "content"))
        return digest(key, case["domain"], record_key, content).hex()
    check("digests", len(cases), [c for c in cases if digest_of(c) != c["digest"]])
    cases = load("sums")
    def sums_of(case):
        records = [(r["key"].encode(), int(r["sequence"]), bytes.fromhex(r["digest"])) for r in case["records"]]
        return sums(records).hex()
    check("sums", len(cases), [c for c in cases if sums_of(c) != c["sums"]])


if __name__ == "__main__":
    {"rows": rows, "vectors": vectors}[sys.argv[1]](sys.argv[2])
