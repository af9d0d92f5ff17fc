/* For the Arduino IDE, which looks for headers in this folder. */
#include "../include/${name}_model.h"
#include "../include/reds_policy.h"
