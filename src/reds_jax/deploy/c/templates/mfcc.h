/* The front end of the network: tables for reds_mfcc.h, and the sizes of the memory that it needs. Written by reds_jax. */
#ifndef ${NAME}_FRONT_END_H
#define ${NAME}_FRONT_END_H

#include "reds_mfcc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ${NAME}_MFCC_SAMPLE_RATE ${rate}u  /* samples a second */
#define ${NAME}_MFCC_WINDOW ${window}u       /* samples of a frame */
#define ${NAME}_MFCC_STRIDE ${stride}u       /* samples from frame to frame */
#define ${NAME}_MFCC_COEFFICIENTS ${coefficients}u
#define ${NAME}_MFCC_SCRATCH ${scratch}u     /* entries, $number */

extern const reds_mfcc_${short} ${name}_front_end_${short};
$grid_header
#ifdef __cplusplus
}
#endif
#endif
