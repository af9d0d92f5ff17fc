/* See ${name}_mfcc.h. */
#include "${name}_mfcc.h"

$arrays
const reds_mfcc_${short} ${name}_mfcc_${short} = {
    ${window}u, ${quarter}u, ${bins}u, ${bands}u, ${coefficients}u,$points half, sine, bands, weights, basis,
};
$grid_source