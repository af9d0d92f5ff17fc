/* See ${name}_front_end.h. */
#include "${name}_front_end.h"

$arrays
const reds_mfcc_${short} ${name}_front_end_${short} = {
    ${window}u, ${quarter}u, ${bins}u, ${bands}u, ${coefficients}u,$points half, sine, bands, weights, basis,
};
$grid_source