// The platform's own API and its wire API, from this page's origin.

/** Who looks on, and what the role may do. */
export interface Session {
  user: string | null;
  role: "owner" | "developer" | "support" | "billing" | "auditor";
  may: Need[];
  signed_in: boolean;
  sees_bodies: boolean;
}
export type Need = "nothing" | "usage" | "read" | "replay" | "change" | "users";

/** What a program needs to know of this instance; who may change nothing learns no token. */
export interface Env {
  account_sid: string;
  auth_token: string | null;
  phone_number: string;
  test_account_sid: string;
  test_auth_token: string | null;
  url: string;
}

export const BEHAVIOURS = [
  "on",
  "off",
  "slow",
  "filtered",
  "silent",
  "full",
  "unknown",
  "landline",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

export const WHEN_CALLED = ["answer", "ring", "busy", "reject"] as const;

export interface Handset {
  number: string;
  name: string;
  behaviour: Behaviour;
  when_called: (typeof WHEN_CALLED)[number];
}

/** What a phone heard in a call, or did in it. */
export interface Heard {
  at: string;
  sound: string;
  text: string;
  milliseconds: number | null;
  cut: boolean;
}

/** A phone's part of a call. */
export interface Call {
  sid: string;
  direction: "incoming" | "outgoing";
  peer: string;
  status: "placed" | "ringing" | "in-progress" | "ended";
  began: string;
  answered: string | null;
  ended: string | null;
  heard: Heard[];
}

/** What is wrong with a TwiML document, and where. */
export interface Diagnostic {
  code: number;
  title: string | null;
  line: number;
  column: number;
  message: string;
}

export interface Checked {
  verbs: { name: string; text?: string }[];
  diagnostics: Diagnostic[];
  fatal: boolean;
}

export interface Mailbox {
  address: string;
  behaviour: string;
}

/** A mail as its mailbox shows it. */
export interface Mail {
  id: string;
  at: string;
  from: string;
  to: string;
  cc: string;
  subject: string;
  headers: string;
  text: string | null;
  html: string | null;
  files: { filename: string; content_type: string; size: number }[];
  links: string[];
  unsubscribe: string | null;
}

export interface User {
  name: string;
  role: string;
  date_created: string;
}

export interface Network {
  kind: string;
  name: string;
  what: string;
  state: string;
  up: boolean;
}

export interface Route {
  to: string;
  from: string;
  carriers: { name: string; share?: number }[];
}

export interface Button {
  type: "reply" | "url" | "phone" | "copy_code" | "call" | "catalog" | "flow";
  title?: string;
  id?: string;
  url?: string;
  phone?: string;
  code?: string;
}

export interface ListRow {
  id: string;
  title: string;
  description: string;
}

export interface Slide {
  media: string;
  title: string;
  body: string;
  buttons: Button[];
}

/** A message as WhatsApp shows it. */
export interface Rich {
  header?: { type: string; text?: string; url?: string; label?: string; address?: string };
  body: string;
  footer?: string;
  buttons?: Button[];
  list?: { button: string; rows: ListRow[] };
  carousel?: Slide[];
}

/** A line of a handset's thread. */
export interface Line {
  sid: string;
  direction: "sent" | "received";
  peer: string;
  body: string;
  media: string[];
  at: string;
  failed: boolean;
  read: boolean;
  rich: Rich | null;
}

export interface Event {
  seq: number;
  account_sid: string;
  kind: string;
  sid: string;
  at: string;
  data: Record<string, unknown>;
}

/** The `data` of an event of the kind `webhook`: one attempt, as it went over the wire. */
export interface Attempt {
  url: string;
  method: string;
  request_headers: [string, string][];
  request_body: string;
  status: number | null;
  response_headers: [string, string][];
  response_body: string;
  started: string;
  duration_ms: number;
  error: string | null;
}

export interface DeadJob {
  id: string;
  account_sid: string;
  queue: string;
  payload: unknown;
  attempt: number;
  last_error: string | null;
  died_at: string;
}

export interface Clock {
  now: string;
  offset_seconds: number;
  movable: boolean;
  next_timer: string | null;
}

export interface OptOut {
  account_sid: string;
  scope: string;
  address: string;
  source: string;
  at: string;
}

export interface Standing {
  opt_outs: OptOut[];
  windows: { sender: string; ends: string }[];
}

/** An error as the platform tells it. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: number | null,
    message: string,
  ) {
    super(message);
  }
}

/** A request with this browser's session; an answer that is no success is a `Refusal`. */
async function request(path: string, init: RequestInit = {}) {
  const response = await fetch(path, { ...init, credentials: "same-origin" });
  if (response.ok) return response;
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    throw new Refusal(response.status, body.code ?? null, body.message ?? response.statusText);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(response.status, null, text.slice(0, 200) || response.statusText);
  }
}

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

/** Our own API, below `/_offhook/v1`. */
export async function own<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  return json(await request(`/_offhook/v1${path}`, init));
}

export async function ownText(path: string): Promise<string> {
  return (await request(`/_offhook/v1${path}`)).text();
}

/** Our own API as a stream that stays open, or as anything but JSON. */
export const ownRaw = (path: string, signal?: AbortSignal) =>
  request(`/_offhook/v1${path}`, signal ? { signal } : {});

export const signIn = (user: string, password: string) =>
  own<Session>("/sign-in", "POST", { user, password });

export const signOut = () => own("/session", "DELETE");

export const loadSession = () => own<Session>("/session");

export const loadEnv = () => own<Env>("/env");

/** A value of a form; several of one name are an array. */
export type Values = Record<string, string | string[]>;

/** The wire API of the main account, as far as the visitor's role goes. `path` begins with
 *  `/_/{product}/`, as it does for programs. */
export async function wire<T>(
  path: string,
  method = "GET",
  values?: Values,
  isJson = false,
): Promise<T> {
  const init: RequestInit = { method };
  if (values && isJson) {
    init.body = JSON.stringify(values);
    init.headers = { "Content-Type": "application/json" };
  } else if (values) {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) {
      for (const one of [value].flat()) form.append(name, one);
    }
    init.body = form;
  }
  return json(await request(path.replace(/^\/_\//, "/_offhook/v1/wire/"), init));
}

/** A page of any list of the wire API. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Resource = Record<string, unknown>;

/** Reads a page, whatever the name of its array, and where the next one is on this origin. */
export async function page(path: string): Promise<Page<Resource>> {
  const product = path.split("/")[2] ?? "api";
  const body = await wire<Record<string, unknown>>(path);
  const meta = body.meta as { key?: string; next_page_url?: string | null } | undefined;
  const key = meta?.key ?? Object.keys(body).find((name) => Array.isArray(body[name]));
  const next = meta ? meta.next_page_url : (body.next_page_uri as string | null | undefined);
  const items = key ? (body[key] as Resource[]) : [body];
  return { items, next: next ? here(next, product) : null };
}

/** An address of the wire API as a path on this origin. */
export function here(address: string, product: string): string {
  const url = new URL(address, location.origin);
  const prefix = `/_/${product}`;
  const path = url.pathname.startsWith("/_/") ? url.pathname : prefix + url.pathname;
  return path + url.search;
}
