// Attend for many queries of f16 keys and values.
#include "flash.h"

FLASHES(f16, f16)
