// Attend for many queries of bf16 keys and values.
#include "flash.h"

FLASHES(bf16, bf16)
