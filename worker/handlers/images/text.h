/* SPDX-License-Identifier: MIT */
/*
 * Text to pixels: shaped by HarfBuzz, drawn by FreeType, each character from
 * the first font that has it, right-to-left words in their order.
 */
#ifndef IMAGES_TEXT_H
#define IMAGES_TEXT_H

#include "image.h"

/*
 * Where Debian puts fonts that draw Chinese, Japanese and Korean, and Latin.
 * The first that is there is the usual one.
 */
#define TEXT_FONTS							\
	"/usr/share/fonts/truetype/wqy/wqy-microhei.ttc "		\
	"/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc "	\
	"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf "		\
	"/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"

/*
 * Open those of the files (names between spaces or commas) that are there, once
 * in a process and before its sandbox closes.  None at all is no error here,
 * but of every text.
 */
void	 text_setup(const char *files);
void	 text_teardown(void);

#define TEXT_MAX	1024	/* bytes of a text */

struct text_glyph {
	int		 font;		/* which of the open ones */
	uint32_t	 id;
	int		 x, y;		/* of its origin; 1/64 pixel, y upwards */
};

/* One line, laid out. */
struct text {
	int		 w, h;		/* pixels */
	int		 ascent;	/* of them above the baseline */
	int		 px;		/* size of the type */
	int		 n;
	struct text_glyph glyphs[TEXT_MAX];
};

/*
 * Lay out UTF-8 (at most TEXT_MAX bytes; what is none becomes U+FFFD) in the
 * font of that family if there is one (may be NULL), px pixels high.  -1 with
 * UFOP_UNAVAILABLE when there are no fonts.
 */
int	 text_layout(struct text *, const char *utf8, size_t len,
	    const char *family, int px, struct ufop_err *);

/* A mask of w x h, GREY: 255 where ink is. */
int	 text_draw(const struct text *, struct image *, struct ufop_err *);

#endif
