"""Output far beyond ASCII, and the functions that deal with it."""
import sys
import unicodedata

print("中文：你好，世界 · 日本語：こんにちは · 한국어: 안녕하세요")
print("Ελληνικά · Кириллица · עברית · العربية · हिन्दी · ไทย")
print("😀 🎉 🚀 👩‍👩‍👧‍👦 🏳️‍🌈 🇯🇵 👍🏽")

composed, decomposed = "é", "e\u0301"
print(composed, decomposed, composed == decomposed, len(composed), len(decomposed))
print(unicodedata.normalize("NFC", decomposed) == composed)
print([unicodedata.name(letter) for letter in "ß漢€"])
print("Straße".upper(), "STRASSE".casefold() == "Straße".casefold(), "ǆ".title())
print("𝒳 is one character of", len("𝒳".encode("utf-8")), "bytes,",
      len("𝒳".encode("utf-16-le")) // 2, "UTF-16 units")
print(ascii("naïve ☃"), repr("tab\tand\x00nul\u200b"))
print("%-8s|%8s|" % ("日本", "ñandú"), "{:·^9}".format("мир"))
print(sorted(["öl", "zebra", "apfel", "Äpfel"]))
print("\u202eright to left\u202c", "zero\u200dwidth")
for encoding in ("ascii", "latin-1", "shift_jis", "gb18030", "utf-16-be"):
    print(f"{encoding:<10}", "日é".encode(encoding, "backslashreplace"))
try:
    b"\xff\xfe\xfa".decode("utf-8")
except UnicodeDecodeError as error:
    print(error)
print(b"caf\xc3\xa9 \xff".decode("utf-8", "replace"))
π = 3.14159
print(f"{π=}")
print(sys.stdout.encoding.lower(), sys.getfilesystemencoding())
with open("naïve-文件-😀.txt", "w", encoding="utf-8") as target:
    target.write("ok")
print(open("naïve-文件-😀.txt").read())
