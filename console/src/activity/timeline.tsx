// What became of one resource: request, decision, carrier, callbacks, in order.

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "react-aria-components";
import { type Attempt, type Event, own } from "../api";
import { resourcePath } from "../resources/sids";
import { useMay } from "../session";
import { TwiML } from "../twiml/document";
import { At, Badge, Code, Copy, Empty, Inert, Problem } from "../ui";
import { mood, summary } from "./activity";
import { asCurl, reason } from "./curl";

interface Props {
  sid: string;
  events: Event[];
  error: unknown;
  close: () => void;
}

/** How long after the first event this one came. */
function since(first: Event | undefined, event: Event): string {
  const seconds = first ? (Date.parse(event.at) - Date.parse(first.at)) / 1000 : 0;
  if (seconds < 1) return "";
  if (seconds < 120) return `+${seconds.toFixed(0)} s`;
  return seconds < 7200 ? `+${(seconds / 60).toFixed(0)} min` : `+${(seconds / 3600).toFixed(1)} h`;
}

export function Timeline({ sid, events, error, close }: Props) {
  const account = events[0]?.account_sid;
  const path = account ? resourcePath(sid, account) : null;
  return (
    <section className="panel timeline" aria-label="Timeline">
      <header>
        <h2>
          <code>{sid}</code>
        </h2>
        <Copy text={sid} label="Copy SID" />
        {events[0]?.kind.startsWith("email.") ? <Link to="/console/mail">Mail</Link> : null}
        {path ? (
          <Link to="/console/resources" search={{ at: path }}>
            Resource
          </Link>
        ) : null}
        <Button className="quiet" aria-label="Close the timeline" onPress={close}>
          ✕
        </Button>
      </header>
      <Problem error={error} />
      <ol className="scroll">
        {events.map((event) => (
          <li key={event.seq} className={mood(event) ?? ""}>
            <div className="when">
              <At time={event.at} /> <small>{since(events[0], event)}</small>
            </div>
            <div>
              <Badge {...(mood(event) ? { as: mood(event) as string } : {})}>{event.kind}</Badge>{" "}
              {event.kind === "alert" ? (
                <Link to="/console/debugger" search={{ code: String(event.data.code) }}>
                  <Inert text={summary(event)} />
                </Link>
              ) : (
                <Inert text={summary(event)} />
              )}
              {event.kind === "webhook" ? (
                <Exchange attempt={event.data as unknown as Attempt} seq={event.seq} />
              ) : (
                <details>
                  <summary>Everything that is known</summary>
                  <Code text={JSON.stringify(event, null, 2)} />
                </details>
              )}
            </div>
          </li>
        ))}
        {events.length === 0 ? <Empty>No event of it is kept.</Empty> : null}
      </ol>
    </section>
  );
}

const headers = (all: [string, string][]) =>
  all.map(([name, value]) => `${name}: ${value}`).join("\n");

/** A form as people read it: one parameter per line. */
function readable(body: string, all: [string, string][]): string {
  const type = all.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  if (!type.includes("urlencoded")) return body;
  return [...new URLSearchParams(body)].map(([name, value]) => `${name} = ${value}`).join("\n");
}

/** TwiML with what is wrong in it; anything else as it is. */
function Answer({ attempt }: { attempt: Attempt }) {
  const type = attempt.response_headers.find(([name]) => name.toLowerCase() === "content-type");
  const isTwiml = attempt.response_body.trimStart().startsWith("<") && attempt.status === 200;
  if (!isTwiml) return <Code text={attempt.response_body} />;
  const kind = new URLSearchParams(attempt.request_body || url(attempt).search).has("CallSid")
    ? "voice"
    : "messaging";
  return <TwiML kind={kind} text={attempt.response_body} contentType={type?.[1] ?? "text/xml"} />;
}

const url = (attempt: Attempt) => new URL(attempt.url, "http://unknown");

/** One attempt of a webhook as it went over the wire. */
function Exchange({ attempt, seq }: { attempt: Attempt; seq: number }) {
  const mayReplay = useMay("replay");
  const [error, setError] = useState<unknown>(null);
  const replay = () => own(`/events/${seq}/replay`, "POST").then(() => setError(null), setError);
  const { pathname, search } = url(attempt);
  const asked = `${attempt.method} ${pathname}${search} HTTP/1.1\n${headers(attempt.request_headers)}`;
  const answered =
    attempt.status === null
      ? `No answer: ${attempt.error}`
      : `${attempt.status} ${reason(attempt.status)}\n${headers(attempt.response_headers)}`;
  return (
    <details className="exchange">
      <summary>The exact HTTP</summary>
      <h3>Request</h3>
      <Code text={asked} />
      {attempt.request_body ? (
        <Code text={readable(attempt.request_body, attempt.request_headers)} />
      ) : null}
      <h3>Answer, after {attempt.duration_ms} ms</h3>
      <Code text={answered} />
      {attempt.response_body ? <Answer attempt={attempt} /> : null}
      <Copy text={asCurl(attempt)} label="Copy as curl" />
      {mayReplay ? (
        <Button className="quiet" onPress={replay}>
          Make it again
        </Button>
      ) : null}
      <Problem error={error} />
    </details>
  );
}
