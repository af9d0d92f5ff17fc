/* Which subnetwork to run: the largest whose cost fits what there is, where the costs are learned while the device runs.
 *
 * The unit is the caller's: timer ticks until a deadline, microjoules, instructions. All functions are a few instructions and need
 * no memory but the struct. */
#ifndef REDS_POLICY_H
#define REDS_POLICY_H

#include <stdint.h>

#define REDS_POLICY_LARGEST 16u
#define REDS_POLICY_NONE 0xFFFFFFFFu

typedef struct {
    uint32_t subnetworks;
    uint32_t margin;                    /* in 1/256 of the cost: 13 asks for 5 % more than the cost known so far */
    uint32_t cost[REDS_POLICY_LARGEST]; /* of one inference; ascending as far as the network's are */
} reds_policy;

/* Begin with costs that are estimated or measured once; at most REDS_POLICY_LARGEST subnetworks. */
static inline void reds_policy_start(reds_policy *policy, uint32_t subnetworks, const uint32_t *costs, uint32_t margin) {
    policy->subnetworks = subnetworks < REDS_POLICY_LARGEST ? subnetworks : REDS_POLICY_LARGEST;
    policy->margin = margin;
    for (uint32_t k = 0; k < policy->subnetworks; k++) {
        policy->cost[k] = costs[k];
    }
}

/* The largest subnetwork whose cost with its margin is at most ``available``, or REDS_POLICY_NONE. */
static inline uint32_t reds_policy_choose(const reds_policy *policy, uint32_t available) {
    for (uint32_t k = policy->subnetworks; k-- > 0;) {
        if (policy->cost[k] + (uint64_t)policy->cost[k] * policy->margin / 256u <= available) {
            return k;
        }
    }
    return REDS_POLICY_NONE;
}

/* Learn what an inference did cost: more counts at once, less slowly (an eighth), so that one fast run makes no promise. */
static inline void reds_policy_observe(reds_policy *policy, uint32_t k, uint32_t cost) {
    if (k < policy->subnetworks) {
        const uint32_t known = policy->cost[k];
        policy->cost[k] = cost >= known ? cost : known - (known - cost) / 8u;
    }
}

/* What one inference may cost so that a store of energy lasts for all that are still to come. */
static inline uint32_t reds_policy_pace(uint64_t left, uint32_t inferences) {
    const uint64_t share = inferences ? left / inferences : 0;
    return share < 0xFFFFFFFFu ? (uint32_t)share : 0xFFFFFFFFu;
}

#endif
