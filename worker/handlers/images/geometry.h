/* SPDX-License-Identifier: MIT */
/*
 * Sizes and places, as imageView2 and imageMogr2 reckon them; pure arithmetic.
 *
 * Fractions of a pixel are rounded half up and no side becomes less than 1,
 * which gives every size in the documents of those interfaces.
 */
#ifndef IMAGES_GEOMETRY_H
#define IMAGES_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

enum geometry_kind {
	GEOMETRY_PERCENT,	/* w, h: per cent of each side */
	GEOMETRY_INSIDE,	/* as large as fits w x h */
	GEOMETRY_COVER,		/* as small as covers w x h */
	GEOMETRY_EXACT,		/* w x h, whatever the proportions */
	GEOMETRY_AREA,		/* in proportion, as near to area pixels as fits */
};

/* Which changes of size are wanted; the others leave the picture as it is. */
enum geometry_when {
	GEOMETRY_ALWAYS,
	GEOMETRY_SHRINK,	/* never enlarge */
	GEOMETRY_ENLARGE,	/* never shrink */
};

struct geometry {
	enum geometry_kind kind;
	enum geometry_when when;
	bool		 long_side;	/* w is for the longer side, h the shorter */
	int		 w, h;		/* 0: no limit on this side */
	int64_t		 area;		/* pixels */
};

/* The size that a picture of w x h becomes. */
void	 geometry_apply(const struct geometry *, int w, int h, int *rw, int *rh);

/* Nine places, row by row. */
enum gravity {
	GRAVITY_NORTHWEST, GRAVITY_NORTH, GRAVITY_NORTHEAST,
	GRAVITY_WEST, GRAVITY_CENTER, GRAVITY_EAST,
	GRAVITY_SOUTHWEST, GRAVITY_SOUTH, GRAVITY_SOUTHEAST,
};

/*
 * Where along one axis a part of size stands in the whole: at its start,
 * middle or end, moved inwards (from the middle: forwards) by offset.  All in
 * pixels; the result may stand over.
 */
int64_t	 geometry_place(enum gravity, bool vertical, int whole, int size,
	    int offset);

/* A part to be cut out. */
struct crop {
	int		 w, h;		/* 0: the whole side */
	int		 dx, dy;
	enum gravity	 gravity;
	bool		 long_side;	/* w is along the longer side */
};

/*
 * The part of a picture of w x h that is cut out, clipped to it.  -1 when
 * nothing is left.
 */
int	 geometry_crop(const struct crop *, int w, int h, int *x, int *y,
	    int *cw, int *ch);

#endif
