/* Two networks in one arena, by turns: every subnetwork of each answers as recorded. C and C++, on a PC or on a board. */
#include "ears_examples.h"
#include "ears_model.h"
#include "eyes_examples.h"
#include "eyes_model.h"

#ifdef ON_A_BOARD
#include "count.h"
static void print(const char *text) { reds_print(text); }
#else
#include <stdio.h>
static void print(const char *text) { printf("%s", text); }
#endif

static union {
    ears_arena_t ears;
    eyes_arena_t eyes;
} arena;
static ears_network_t ears;
static eyes_network_t eyes;

#define CHECK(name, NAME, tolerance)                                                                                          \
    static int name##_differs(uint32_t k, uint32_t n) {                                                                       \
        static name##_element out[NAME##_OUTPUT_ITEMS];                                                                       \
        const name##_element *expected = name##_example_outputs + (k * NAME##_EXAMPLES + n) * NAME##_OUTPUT_ITEMS;             \
        if (name##_net_adapt(&name, k) != NAME##_OK || name##_net_active(&name) != k) return 1;                               \
        if (name##_net_invoke(&name, name##_example_inputs + n * NAME##_INPUT_ITEMS, out) != k) return 1;                     \
        for (uint32_t i = 0; i < NAME##_OUTPUT_ITEMS; i++) {                                                                  \
            const float difference = (float)out[i] - (float)expected[i];                                                      \
            if (!(difference <= (tolerance) && difference >= -(tolerance))) return 1;                                         \
        }                                                                                                                     \
        return 0;                                                                                                             \
    }
CHECK(ears, EARS, 0.0f)
CHECK(eyes, EYES, 1e-3f)

int main(void) {
    if (ears_net_init(&ears, &arena, sizeof arena) != EARS_OK || eyes_net_init(&eyes, &arena, sizeof arena) != EYES_OK) return 1;
    if (ears_net_active(&ears) != EARS_LARGEST) return 2;
    for (uint32_t n = 0; n < EARS_EXAMPLES && n < EYES_EXAMPLES; n++) {
        for (uint32_t k = 0; k <= EARS_LARGEST && k <= EYES_LARGEST; k++) {
            if (ears_differs(k, n) || eyes_differs(k, n)) return 3;
        }
    }
    if (ears_net_adapt(&ears, EARS_LARGEST + 1) != EARS_NO_SUCH_SUBNETWORK) return 4;
    if (ears_net_adapt_to_budget(&ears, 0) != EARS_BUDGET_TOO_SMALL) return 5;
    if (ears_net_adapt_to_budget(&ears, ears_info(0)->macs) != EARS_OK || ears_net_active(&ears) != 0) return 6;
    print("as recorded\n");
    return 0;
}
