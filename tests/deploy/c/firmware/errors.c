/* What is refused in every build, and the null pointers that REDS_DEBUG refuses. */
#include <stdio.h>

#include "ears_examples.h"
#include "ears_model.h"

static ears_arena_t arena;
static char unaligned[EARS_ARENA_BYTES + EARS_ARENA_ALIGNMENT];

int main(void) {
    ears_network_t network = {0};
    ears_element out[EARS_OUTPUT_ITEMS] = {99};
    char *const odd = unaligned + ((uintptr_t)unaligned % 2 ? 0 : 1);
    if (sizeof arena != EARS_ARENA_BYTES || EARS_ARENA_BYTES != EARS_ARENA_BYTES_2) return 1;
    if (ears_net_init(NULL, &arena, sizeof arena) != EARS_NULL_POINTER) return 2;
    if (ears_net_init(&network, NULL, sizeof arena) != EARS_ARENA_NOT_ALLOWED) return 3;
    if (ears_net_init(&network, &arena, sizeof arena - 1) != EARS_ARENA_NOT_ALLOWED) return 4;
    if (ears_net_init(&network, odd, EARS_ARENA_BYTES) != EARS_ARENA_NOT_ALLOWED) return 5;
#ifdef REDS_DEBUG
    if (ears_net_invoke(&network, ears_example_inputs, out) != EARS_NONE) return 6; /* it has no arena yet */
    if (ears_net_active(&network) != EARS_NONE || ears_net_active(NULL) != EARS_NONE) return 7;
    if (ears_net_adapt(NULL, 0) != EARS_NULL_POINTER || ears_net_adapt_to_budget(NULL, 0) != EARS_NULL_POINTER) return 8;
    if (ears_invoke(NULL, out) != EARS_NONE || ears_invoke(ears_example_inputs, NULL) != EARS_NONE) return 9;
    if (ears_argmax(NULL) != EARS_NONE) return 10;
#endif
    if (ears_net_init(&network, &arena, sizeof arena) != EARS_OK) return 11;
#ifdef REDS_DEBUG
    if (ears_net_invoke(NULL, ears_example_inputs, out) != EARS_NONE) return 12;
    if (ears_net_invoke(&network, NULL, out) != EARS_NONE) return 13;
    if (ears_net_invoke(&network, ears_example_inputs, NULL) != EARS_NONE) return 14;
#endif
    if (out[0] != 99) return 15; /* nothing has been computed */
    if (ears_net_invoke(&network, ears_example_inputs, out) != EARS_SUBNETWORKS - 1) return 16;
    if (out[0] != ears_example_outputs[(EARS_SUBNETWORKS - 1) * EARS_EXAMPLES * EARS_OUTPUT_ITEMS]) return 17;
    if (ears_net_adapt(&network, EARS_SUBNETWORKS) != EARS_NO_SUCH_SUBNETWORK || ears_net_active(&network) != 2) return 18;
    printf("as stated\n");
    return 0;
}
