/* SPDX-License-Identifier: MIT */
/*
 * One picture on its way from file to file.
 *
 * Turning, cutting and resizing do not touch pixels: they change what part of
 * the stored picture is to be seen, which way up, and at what size.  Only when
 * pixels are needed is the file decoded, no more of it and no larger than that
 * asks for, and all of it done in one pass of the resampling kernel.
 */
#ifndef IMAGES_PICTURE_H
#define IMAGES_PICTURE_H

#include "codec.h"
#include "geometry.h"
#include "text.h"

/* The service's settings; all checked before anything is allocated. */
struct limits {
	int64_t		 max_pixels;		/* of the source */
	int		 max_side;		/* of the source */
	int64_t		 max_output_pixels;
	int		 max_output_side;
	int		 max_frames;		/* of a moving source */
};

/* How long each stage took, and how. */
struct picture_times {
	int64_t		 probe_us, decode_us, resize_us, encode_us;
	int64_t		 operate_us;	/* rotate, blur, sharpen, round, mark */
	int		 shrink;	/* 4: decoded at 1/4 of the sides; 0: not */
};

/* The clock of these: microseconds, CLOCK_MONOTONIC. */
int64_t	 picture_now_us(void);

struct picture {
	const struct limits	*limits;
	const unsigned char	*data;
	size_t			 len;
	bool			 ignore_error;
	struct image_info	 info;
	int			 w, h;		/* as seen now, pixels */
	/*
	 * Nothing is decoded, made or written: every call only does what it does
	 * to the sizes, asks for the work, and fails where it would fail for them.
	 */
	bool			 dry;
	/* The rest is picture.c's own. */
	int			 orient;	/* how stored pixels must be turned */
	struct rect		 view;		/* what is seen of the stored ones */
	struct rect		 bounds;	/* what may be mixed in around it */
	bool			 decoded;
	struct image		 image;		/* once decoded */
	double			 work;		/* of picture_work() so far */
	struct picture_times	 times;
};

/* The result of picture_write(); free(p). */
struct picture_file {
	struct bytes		 bytes;
	const struct codec	*codec;
	int			 w, h;
};

/*
 * Read the header.  data must outlive the picture.  UFOP_BAD_INPUT (no bytes
 * at all), UFOP_BAD_MEDIA (no decoder takes them) or UFOP_TOO_BIG (sides or
 * pixels over a limit).  picture_release() frees, also after a failure.
 */
int	 picture_open(struct picture *, const struct limits *,
	    const unsigned char *data, size_t len, struct ufop_err *);
void	 picture_release(struct picture *);

/*
 * A picture like head, opened and untouched, whose pixels are those of frame;
 * they are moved into it.
 */
void	 picture_open_frame(struct picture *, const struct picture *head,
	    struct image *frame);

/* Turn it as its EXIF says (once). */
void	 picture_auto_orient(struct picture *);
/*
 * Turn it clockwise.  Right angles cost nothing; others make it larger, with
 * rgba in the corners.
 */
int	 picture_rotate(struct picture *, int degrees,
	    const unsigned char rgba[4], struct ufop_err *);

/*
 * Note that so many pixels are made.  UFOP_TOO_BIG when all that were since it
 * was opened are more than six times the limit on a result's: any number of
 * steps, each within its limits, would be any amount of work.  What follows asks
 * for itself, before it begins, with twice its pixels for a rotation, and for
 * blurs by radius.
 */
int	 picture_work(struct picture *, double pixels, struct ufop_err *);

/* UFOP_TOO_BIG when the result is over the limits on output. */
int	 picture_resize(struct picture *, const struct geometry *,
	    struct ufop_err *);
/* UFOP_BAD_INPUT when the part lies outside the picture. */
int	 picture_crop(struct picture *, const struct crop *, struct ufop_err *);

/* A bell curve of sigma pixels, cut at radius. */
int	 picture_blur(struct picture *, int radius, double sigma,
	    struct ufop_err *);
/* Edges a little harder. */
int	 picture_sharpen(struct picture *, struct ufop_err *);
/* Corners made transparent: quarters of an ellipse of rx by ry pixels. */
int	 picture_round(struct picture *, double rx, double ry,
	    struct ufop_err *);

enum mark_kind {
	MARK_TEXT,
	MARK_IMAGE,
};

/* Which side of the picture and of the mark on it a scale is about. */
enum mark_by {
	MARK_SHORT_SIDE, MARK_LONG_SIDE, MARK_WIDTH, MARK_HEIGHT,
};

#define MARK_URL_MAX	2048	/* bytes of a mark's url, with its NUL */

/* A line of text, or another picture, to be laid on it. */
struct mark {
	enum mark_kind	 kind;
	enum gravity	 gravity;
	int		 dx, dy;	/* from the edges */
	int		 dissolve;	/* per cent of it that shows */
	union {
		struct {
			char		 text[TEXT_MAX];
			size_t		 len;
			char		 font[64];	/* family; "": the usual */
			int		 px;		/* size of the type */
			unsigned char	 rgba[4];
		};
		struct {
			char		 url[MARK_URL_MAX];
			/* The file behind url; filled in by the caller. */
			const unsigned char *data;
			size_t		 data_len;
			double		 scale;	/* 0: as large as it is */
			enum mark_by	 by;
		};
	};
};

/*
 * Lay it on.  A mark's picture is taken like a source: under the same limits,
 * turned as its EXIF says, in sRGB; of a moving one the first frame.  With a
 * scale it is made that part of the picture's side, its proportions kept.
 *
 * made holds such a mark's pixels from one call to the next, as all frames of
 * a moving picture are of one size: zeroed before the first, image_release()
 * after the last.  *fits becomes false, and the picture stays what it was, when
 * a side of it is shorter than the mark's.  What dx and dy push over the edge
 * is cut off.
 */
int	 picture_mark(struct picture *, const struct mark *,
	    struct image *made, bool *fits, struct ufop_err *);

/* The mean colour, transparent pixels left out. */
int	 picture_average(struct picture *, unsigned char rgb[3],
	    struct ufop_err *);

/*
 * Make p->image what is seen: exact size, no view, orientation 1; YCC planes
 * may remain when ycc is true, with chroma halved when half is.
 */
int	 picture_pixels(struct picture *, bool ycc, bool half,
	    struct ufop_err *);

/*
 * Encode as codec (NULL: as the source was, or what stands for it when that is
 * only read).
 * Where the format knows no transparency, rgb (white when NULL) is behind.
 * May be called again, with other options.
 */
int	 picture_write(struct picture *, const struct codec *,
	    const struct encode_opts *, const unsigned char *rgb,
	    struct picture_file *, struct ufop_err *);
/* UFOP_TOO_BIG when it is now larger than limits and codec let it be written. */
int	 picture_check_output(const struct picture *, const struct codec *,
	    struct ufop_err *);
/* What codec NULL becomes. */
const struct codec *picture_codec(const struct picture *,
	    const struct codec *);

#endif
