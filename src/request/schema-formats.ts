import ipaddr from "ipaddr.js";

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.\d{1,9})?(?:z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const MAX_HOSTNAME_CHARACTERS = 253;
const MAX_EMAIL_CHARACTERS = 254;
/** RFC 3986's characters, with a scheme in front. */
const URI = /^[a-z][a-z0-9+.-]*:(?:[a-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})+$/i;

/** The values of `format` that schemas may name: each a check that is linear in the text. */
export const SCHEMA_FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: (text) => TIME.test(text),
  "date-time": (text) => /[Tt ]/.test(text[10] ?? "") && isDate(text.slice(0, 10)) && TIME.test(text.slice(11)),
  uuid: (text) => UUID.test(text),
  ipv4: (text) => ipaddr.IPv4.isValidFourPartDecimal(text),
  ipv6: (text) => !text.includes("%") && ipaddr.IPv6.isValid(text),
  hostname: isHostname,
  email: isEmail,
  uri: (text) => URI.test(text),
};

function isDate(text: string): boolean {
  const [, year, month, day] = DATE.exec(text) ?? [];
  if (year === undefined) return false;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= days;
}

function isHostname(text: string): boolean {
  return text.length <= MAX_HOSTNAME_CHARACTERS && text.split(".").every((label) => LABEL.test(label));
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at < 1 || text.length > MAX_EMAIL_CHARACTERS) return false;
  return /^[a-z0-9!#$%&'*+/=?^_`{|}~.-]+$/i.test(text.slice(0, at)) && isHostname(text.slice(at + 1));
}
