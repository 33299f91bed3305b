// Attend for many queries of bf16 keys and values.
#include "flash.h"

FLASHES(bf16, bf16) FLASH(bf16, bf16, 128, 2, 1, 32, 1, 4, 2)
