// Attend for many queries of keys and values that planes.cu has taken apart into two bf16.
#include "flash.h"

FLASH(f32, bf16, 64, 2, 2, 32, 1, 4, 3) FLASH(f32, bf16, 128, 2, 2, 32, 1, 4, 2)
