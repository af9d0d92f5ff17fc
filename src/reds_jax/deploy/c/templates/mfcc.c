/* See ${name}_mfcc.h. */
#include "${name}_mfcc.h"

$tables
const reds_mfcc_f32 ${name}_mfcc_f32 = {
    ${window}u, ${quarter}u, ${bins}u, ${bands}u, ${coefficients}u, half, sine, bands, weights, basis,
};
