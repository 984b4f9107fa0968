/** Calendar dates of epoch milliseconds, without a `Date`: for cells of the Olist tables. UTC. */

const two = (value: number): string => String(value).padStart(2, '0');

/** Shape: [year, month 1-12, day 1-31]. Source: Howard Hinnant, "chrono-compatible low-level date algorithms". */
function civilDate(epochDays: number): readonly [number, number, number] {
  const shifted = epochDays + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const leaps = Math.floor(dayOfEra / 1_460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day];
}

/** Shape: `2017-11-24 18:05:00`, cut to the second, as the Olist tables write times. */
export function tableTime(epochMs: number): string {
  const seconds = Math.floor(epochMs / 1000);
  const [year, month, day] = civilDate(Math.floor(seconds / 86_400));
  const time = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two);
  return `${year}-${two(month)}-${two(day)} ${time.join(':')}`;
}
