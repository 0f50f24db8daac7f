#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the golden bytes of the unit tests with another decoder, python3-cbor2: each must be one
whole item of deterministic CBOR, by itself what our encoder wrote, and every map of a message
has small unsigned keys. The bytes stand once, in the C tests: `golden[] = ..;` and `GOLDEN(..);`.
"""
import io
import os
import re
import sys
import unittest

import cbor2

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../unit")
# test: how many golden items it has at least
WANTED = {"base_admit": 3, "base_cert_chain": 1, "dht_wire": 8, "gossip_wire": 8, "exec_wire": 25}
DEFINE = re.compile(r'^#define (\w+) ((?:"[0-9a-f]*"|[A-Z0-9]+)[ "\w]*)$', re.M)
REGION = re.compile(r'\b(?:golden\w*\[\] =|GOLDEN\()(.*?);', re.S)
LITERALS = re.compile(r'(?:(?:"[0-9a-f]*"|\b[A-Z][A-Z0-9]*\b)\s*)+')


def literal_text(chain, defines):
    """The text of adjacent literals and macros of literals, None if anything else is among them."""
    out = ""
    for word in re.findall(r'"[0-9a-f]*"|\w+', chain):
        if word.startswith('"'):
            out += word[1:-1]
        elif word in defines:
            out += literal_text(defines[word], defines) or ""
        else:
            return None
    return out


def goldens(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    defines = dict(DEFINE.findall(text))
    for region in REGION.findall(text):
        for chain in LITERALS.findall(region):
            found = literal_text(chain, defines) if '"' in chain else None
            if found and len(found) % 2 == 0:
                yield found


def maps(item):
    if isinstance(item, dict):
        yield item
    if isinstance(item, (dict, list)):
        for below in item.values() if isinstance(item, dict) else item:
            yield from maps(below)


class Golden(unittest.TestCase):
    def one(self, name, text):
        data = bytes.fromhex(text)
        stream = io.BytesIO(data)
        item = cbor2.CBORDecoder(stream).decode()
        self.assertEqual(stream.tell(), len(data), f"{name}: {text}: bytes after the item")
        self.assertEqual(cbor2.dumps(item, canonical=True).hex(), text, f"{name}: not canonical")
        for m in maps(item):
            for key in m:
                self.assertIsInstance(key, int, f"{name}: {text}")
                self.assertTrue(0 <= key < 256, f"{name}: {text}")

    def test_every_item(self):
        for name, least in WANTED.items():
            with open(os.path.join(UNIT, name + ".c"), encoding="utf-8") as f:
                found = list(goldens(f.read()))
            self.assertGreaterEqual(len(found), least, f"{name}: fewer golden items than before")
            for text in found:
                with self.subTest(test=name, hex=text):
                    self.one(name, text)
            print(f"{name}: {len(found)} items", file=sys.stderr)

    def test_it_bites(self):
        for text in ("a201070301ff", "a203010107", "bf0107ff", "a1616101", "1801"):
            with self.assertRaises((AssertionError, ValueError)):
                self.one("bad", text)


if __name__ == "__main__":
    unittest.main()
