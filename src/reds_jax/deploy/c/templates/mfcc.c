/* See ${name}_front_end.h. */
#include "${name}_front_end.h"

$tables
const reds_mfcc_f32 ${name}_front_end_f32 = {
    ${window}u, ${quarter}u, ${bins}u, ${bands}u, ${coefficients}u, half, sine, bands, weights, basis,
};
