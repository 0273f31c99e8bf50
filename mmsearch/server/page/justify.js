/**
 * Pictures in rows of equal width and nearly equal height, each uncropped.
 *
 * A row is closed as soon as filling the width makes it no higher than `height`; it takes its last
 * picture only if that comes nearer to `height` than leaving it out. A picture's place depends on
 * those before it alone, so that more pictures never move those already shown.
 *
 * Returns one `{width, height}` (whole pixels) per aspect, and how many of them lie in closed rows.
 */
export function justify(aspects, width, height, gap) {
  const sizes = [];
  let row = [];
  const full = (many) => (width - gap * (many.length - 1)) / sum(many);
  const close = (many) => {
    const tall = Math.round(full(many));
    let left = width - gap * (many.length - 1);
    many.forEach((aspect, place) => {
      // The last one takes what rounding left over.
      const wide = place === many.length - 1 ? left : Math.round(aspect * full(many));
      left -= wide;
      sizes.push({ width: wide, height: tall });
    });
  };
  for (const aspect of aspects) {
    const longer = [...row, aspect];
    if (full(longer) > height) {
      row = longer;
    } else if (row.length && full(row) - height < height - full(longer)) {
      close(row);
      row = [aspect];
      if (full(row) <= height) {
        close(row);
        row = [];
      }
    } else {
      close(longer);
      row = [];
    }
  }
  const closed = sizes.length;
  // What is left over is as high as the row above it, not stretched.
  const rest = row.length ? Math.min(full(row), sizes.at(-1)?.height ?? height) : 0;
  for (const aspect of row) sizes.push({ width: Math.floor(aspect * rest), height: Math.round(rest) });
  return { sizes, closed };
}

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
