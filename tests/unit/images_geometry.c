/* SPDX-License-Identifier: MIT */
/* Sizes and places of pictures; the golden vectors of imageMogr2. */
#include "geometry.h"
#include "unit.h"

#define IN	GEOMETRY_INSIDE
#define ALW	GEOMETRY_ALWAYS
#define SHR	GEOMETRY_SHRINK
#define ENL	GEOMETRY_ENLARGE

void
test_images_geometry_sizes(void)
{
	static const struct {
		struct geometry	g;
		int		w, h, rw, rh;
	} rows[] = {
		/* The documents' own, for 640x427. */
		{ { IN, SHR, false, 200, 0, 0 }, 640, 427, 200, 133 },
		{ { IN, SHR, false, 0, 200, 0 }, 640, 427, 300, 200 },
		{ { GEOMETRY_PERCENT, ALW, false, 75, 75, 0 }, 640, 427, 480, 320 },
		{ { GEOMETRY_PERCENT, ALW, false, 75, 0, 0 }, 640, 427, 480, 427 },
		{ { GEOMETRY_PERCENT, ALW, false, 0, 75, 0 }, 640, 427, 640, 320 },
		{ { IN, ALW, false, 700, 0, 0 }, 640, 427, 700, 467 },
		{ { IN, ALW, false, 0, 467, 0 }, 640, 427, 700, 467 },
		{ { IN, ALW, false, 300, 300, 0 }, 640, 427, 300, 200 },
		{ { GEOMETRY_COVER, ALW, false, 200, 200, 0 }, 640, 427, 300, 200 },
		{ { GEOMETRY_EXACT, ALW, false, 200, 300, 0 }, 640, 427, 200, 300 },
		{ { IN, SHR, false, 200, 300, 0 }, 640, 427, 200, 133 },
		{ { IN, ENL, false, 700, 600, 0 }, 640, 427, 700, 467 },
		/* Only one way: the other leaves the picture alone. */
		{ { IN, SHR, false, 700, 600, 0 }, 640, 427, 640, 427 },
		{ { IN, ENL, false, 200, 300, 0 }, 640, 427, 640, 427 },
		{ { GEOMETRY_COVER, SHR, false, 700, 10, 0 }, 640, 427, 640, 427 },
		/* Long and short side, both ways up. */
		{ { IN, SHR, true, 300, 100, 0 }, 640, 427, 150, 100 },
		{ { IN, SHR, true, 300, 100, 0 }, 427, 640, 100, 150 },
		{ { GEOMETRY_COVER, SHR, true, 300, 100, 0 }, 427, 640, 200, 300 },
		/* Never less than one pixel; halves up. */
		{ { IN, SHR, false, 10, 10, 0 }, 1, 30000, 1, 10 },
		{ { IN, SHR, false, 10, 10, 0 }, 30000, 1, 10, 1 },
		{ { IN, SHR, false, 2, 0, 0 }, 4, 3, 2, 2 },
		{ { IN, SHR, false, 1, 1, 0 }, 640, 427, 1, 1 },
		{ { IN, SHR, false, 0, 0, 0 }, 640, 427, 640, 427 },
		{ { GEOMETRY_AREA, ALW, false, 0, 0, 10000 }, 640, 427, 122, 81 },
		{ { GEOMETRY_AREA, ALW, false, 0, 0, 1 }, 640, 427, 1, 1 },
		{ { GEOMETRY_AREA, ALW, false, 0, 0, 1093120 }, 640, 427, 1280, 854 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int w, h;

		geometry_apply(&rows[i].g, rows[i].w, rows[i].h, &w, &h);
		CHECK_MSG(w == rows[i].rw && h == rows[i].rh,
		    "row %zu: %dx%d, want %dx%d", i, w, h, rows[i].rw,
		    rows[i].rh);
	}
}

void
test_images_geometry_crops(void)
{
	static const struct {
		struct crop	c;
		int		x, y, w, h;	/* of 640x427; w 0: nothing left */
	} rows[] = {
		{ { 300, 0, 0, 0, GRAVITY_NORTHWEST, false }, 0, 0, 300, 427 },
		{ { 0, 200, 0, 0, GRAVITY_NORTHWEST, false }, 0, 0, 640, 200 },
		{ { 300, 300, 30, 100, GRAVITY_NORTHWEST, false }, 30, 100, 300, 300 },
		{ { 300, 300, 30, -100, GRAVITY_NORTHWEST, false }, 30, 0, 300, 200 },
		{ { 300, 300, -30, 100, GRAVITY_NORTHWEST, false }, 0, 100, 270, 300 },
		{ { 300, 300, -30, -100, GRAVITY_NORTHWEST, false }, 0, 0, 270, 200 },
		{ { 50, 50, 0, 0, GRAVITY_NORTHWEST, false }, 0, 0, 50, 50 },
		{ { 50, 20, 0, 0, GRAVITY_NORTHWEST, true }, 0, 0, 50, 20 },
		{ { 201, 200, 0, 0, GRAVITY_CENTER, false }, 220, 113, 201, 200 },
		{ { 200, 200, 10, 20, GRAVITY_SOUTHEAST, false }, 430, 207, 200, 200 },
		{ { 200, 200, 10, 20, GRAVITY_NORTHEAST, false }, 430, 20, 200, 200 },
		{ { 9999, 9999, 0, 0, GRAVITY_CENTER, false }, 0, 0, 640, 427 },
		{ { 10, 10, 639, 426, GRAVITY_NORTHWEST, false }, 639, 426, 1, 1 },
		{ { 10, 10, 640, 0, GRAVITY_NORTHWEST, false }, 0, 0, 0, 0 },
		{ { 10, 10, -10, 0, GRAVITY_NORTHWEST, false }, 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int x, y, w, h;
		int ret = geometry_crop(&rows[i].c, 640, 427, &x, &y, &w, &h);

		CHECK_MSG((ret == -1) == (rows[i].w == 0), "row %zu: %d", i, ret);
		if (ret == 0)
			CHECK_MSG(x == rows[i].x && y == rows[i].y &&
			    w == rows[i].w && h == rows[i].h,
			    "row %zu: %dx%d at %d,%d", i, w, h, x, y);
	}
}
