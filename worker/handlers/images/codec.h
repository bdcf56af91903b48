/* SPDX-License-Identifier: MIT */
/*
 * File formats.  One table row each; the bytes themselves say which one, never
 * a name or a header.
 */
#ifndef IMAGES_CODEC_H
#define IMAGES_CODEC_H

#include "bytes.h"
#include "image.h"

struct codec;

/*
 * Passes over all blocks that a progressive JPEG may ask for, alone or inside of
 * another file, and their pixels together: at 3,000,000,000 a second.  The usual
 * 10 scans of the largest source the settings take by default are three quarters
 * of it.
 */
#define SCANS_MAX		200
#define SCANS_PIXELS_MAX	2000000000

/* What the head of a file says, before anything is decoded. */
struct image_info {
	const struct codec *codec;
	int		 w, h;		/* as stored, before orientation */
	int		 orient;	/* EXIF, 1 to 8 */
	int		 frames;	/* at least 1 */
	bool		 animated;	/* the format can hold frames */
	int		 plays;		/* of its frames; 0: for ever */
	int		 quality;	/* JPEG: estimate, 1 to 100; else 0 */
	bool		 has_profile;	/* an ICC profile is in the file */
	char		 color[16];	/* imageInfo's colorModel: "ycbcr" */
};

/* What the caller will do with the pixels; a decoder may use it or not. */
struct decode_hints {
	struct rect	 region;	/* all that is looked at, stored pixels */
	double		 shrink;	/* the result has this much fewer a side */
	bool		 resized;	/* pixels will be resampled anyway */
	bool		 ycc;		/* Y, Cb, Cr are as good as R, G, B */
	bool		 half;		/* Cb and Cr will have half the sides */
	bool		 ignore_error;	/* what can be read of a broken file */
};

/* What a decoder found worth telling. */
struct decode_notes {
	int		 shrink;	/* 4: decoded at 1/4 of the sides */
};

struct encode_opts {
	int		 quality;	/* 1 to 100 */
	bool		 interlace;	/* JPEG: progressive; PNG, still GIF */
	int		 colours;	/* PNG and GIF: 2 to 256; 0: many */
	int		 orient;	/* to be written into the file, 1: nothing */
	int		 density;	/* dots an inch, likewise; 0: nothing */
};

/*
 * Moving pictures, frame by frame.  A reader hands out whole canvases, RGB or
 * RGBA, each to be released by the caller.
 */
struct anim_reader {
	/* 1: here is one; 0: there are no more; -1 with err.  0 ms or more. */
	int		(*next)(struct anim_reader *, struct image *,
			    int *delay_ms, struct ufop_err *);
	void		(*close)(struct anim_reader *);
};

/*
 * The longest that a writer takes for one frame.  WebP counts milliseconds in an
 * int: it holds 10,000 of them, the most that images.max_frames lets through.
 */
#define FRAME_MAX_MS	200000

/* Takes canvases of one size, RGB or RGBA; delay_ms is 0 to FRAME_MAX_MS. */
struct anim_writer {
	int		(*add)(struct anim_writer *, const struct image *,
			    int delay_ms, struct ufop_err *);
	int		(*finish)(struct anim_writer *, struct bytes *,
			    struct ufop_err *);
	void		(*close)(struct anim_writer *);
};

struct codec {
	const char	*name;		/* "jpeg" */
	const char	*alias;		/* "jpg", or NULL */
	const char	*type;		/* media type */
	/* Whether its library is here and does that; NULL: always. */
	bool		(*can_read)(void), (*can_write)(void);
	const char	*library;	/* what to install where not */
	const struct codec *instead;	/* of one only read; NULL: PNG */
	/* What encode() takes; whatever else is there is converted before. */
	bool		 takes_alpha, takes_ycc, takes_grey;
	bool		 only_planes;	/* of YCC: not interleaved */
	bool		 lossy;		/* encode() heeds opts.quality */
	int		 half_below;	/* quality: chroma is halved under it */
	int		 max_side;	/* of what encode() writes, and */
	int64_t		 max_pixels;	/* in all; 0: as many as there are */
	bool		(*match)(const unsigned char *, size_t);
	/*
	 * Fill info (zeroed by the caller) from the header alone, allocating
	 * nothing that depends on the picture's size.
	 */
	int		(*probe)(struct image_info *, const unsigned char *, size_t,
			    struct ufop_err *);
	/*
	 * Pixels, at least those in hints.region, at 1:1 or shrunk by no more
	 * than hints.shrink / 2.  UFOP_BAD_MEDIA when bytes are damaged or
	 * missing.
	 */
	int		(*decode)(struct image *, const struct image_info *,
			    const unsigned char *, size_t,
			    const struct decode_hints *, struct decode_notes *,
			    struct ufop_err *);
	/*
	 * The ICC profile, malloc()ed; NULL when it is damaged.  Called only
	 * when info.has_profile.
	 */
	unsigned char	*(*profile)(const unsigned char *, size_t, size_t *len);
	/*
	 * The EXIF tags as of exif_pack(), NULL when there are none.  The member
	 * is NULL where they do not exist, and for JPEG, in which libexif finds
	 * them itself.
	 */
	unsigned char	*(*exif)(const unsigned char *, size_t, size_t *len);
	/* NULL when this format is only read. */
	int		(*encode)(struct bytes *, const struct image *,
			    const struct encode_opts *, struct ufop_err *);
	/* NULL when there are no frames in this format; NULL with err. */
	struct anim_reader *(*read_frames)(const struct image_info *,
			    const unsigned char *, size_t, struct ufop_err *);
	struct anim_writer *(*write_frames)(int w, int h, int plays,
			    const struct encode_opts *, struct ufop_err *);
};

extern const struct codec codec_jpeg, codec_png, codec_webp, codec_gif,
    codec_tiff, codec_avif, codec_heif, codec_bmp, codec_psd, codec_pnm,
    codec_tga;

/*
 * Which format the bytes are, and what their header says.  UFOP_BAD_MEDIA
 * when no decoder takes them or the header is damaged.
 */
int	 codec_probe(struct image_info *, const unsigned char *, size_t,
	    struct ufop_err *);

/*
 * 0 when this format can be written here; else UFOP_BAD_MEDIA and what is
 * missing.
 */
int	 codec_check_writing(const struct codec *, struct ufop_err *);

/* The names of all formats that are read, or written, here: "jpeg, png, ..." */
void	 codec_list(char *out, size_t size, bool written);

/* What a picture of this format is written as, when nothing is said. */
const struct codec *codec_for_writing(const struct codec *);

/*
 * The codec that writes a format by its name or alias ("jpg"), NULL when there
 * is none.
 */
const struct codec *codec_by_name(const char *name, size_t len);

#endif
