// Attend for many queries of f16 keys and values.
#include "flash.h"

FLASHES(f16, f16) FLASH(f16, f16, 128, 2, 1, 16, 1, 4, 2)
