/* memcpy and memset, which the compiler may call where the source has an assignment, for a board without a C library: whole words
 * where the addresses allow it. Compile with -fno-tree-loop-distribute-patterns, or the compiler may find that these loops are
 * calls of themselves. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);

typedef uint32_t __attribute__((may_alias)) word;

static int aligned(const void *address) { return ((uintptr_t)address & 3u) == 0; }

__attribute__((used)) void *memcpy(void *to, const void *from, size_t length) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((((uintptr_t)t ^ (uintptr_t)f) & 3u) == 0) {
        for (; length != 0 && !aligned(t); length--) *t++ = *f++;
        word *to_words = (word *)(void *)t;
        const word *from_words = (const word *)(const void *)f;
        for (; length >= 16; length -= 16, to_words += 4, from_words += 4) {
            to_words[0] = from_words[0];
            to_words[1] = from_words[1];
            to_words[2] = from_words[2];
            to_words[3] = from_words[3];
        }
        for (; length >= 4; length -= 4) *to_words++ = *from_words++;
        t = (unsigned char *)to_words;
        f = (const unsigned char *)from_words;
    }
    for (; length != 0; length--) *t++ = *f++;
    return to;
}

__attribute__((used)) void *memset(void *to, int value, size_t length) {
    unsigned char *t = to;
    for (; length != 0 && !aligned(t); length--) *t++ = (unsigned char)value;
    word *words = (word *)(void *)t;
    for (const word four = 0x01010101u * (unsigned char)value; length >= 4; length -= 4) *words++ = four;
    for (t = (unsigned char *)words; length != 0; length--) *t++ = (unsigned char)value;
    return to;
}
