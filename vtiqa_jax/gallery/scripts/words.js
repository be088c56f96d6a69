// Numbers for people.

export const formatNumber = (value) => value.toLocaleString("en");

/** "1 photo", "1,200 photos". */
export const plural = (count, word) => `${formatNumber(count)} ${word}${count === 1 ? "" : "s"}`;
