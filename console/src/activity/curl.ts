import type { Attempt } from "../api";

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
/** What curl writes by itself. */
const ITS_OWN = new Set(["host", "content-length", "connection"]);

/** A command that makes the same request again, signature and all. */
export function asCurl(attempt: Attempt): string {
  const parts = [`curl -i -X ${attempt.method} ${quoted(attempt.url)}`];
  for (const [name, value] of attempt.request_headers) {
    if (!ITS_OWN.has(name.toLowerCase())) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (attempt.request_body) parts.push(`--data-raw ${quoted(attempt.request_body)}`);
  return parts.join(" \\\n  ");
}

const REASONS: Record<number, string> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  301: "Moved Permanently",
  302: "Found",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

export const reason = (status: number) => REASONS[status] ?? "";
