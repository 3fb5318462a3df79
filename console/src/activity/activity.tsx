// Everything as it happens; a line opens the timeline of its resource.

import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useDeferredValue, useMemo, useRef, useState } from "react";
import { Button, Input, Label, TextField } from "react-aria-components";
import { type Answer, type Attempt, type Event, own } from "../api";
import { useLive } from "../live";
import { At, Badge, Empty, Inert } from "../ui";
import { Timeline } from "./timeline";

const LINE = 34;
const OLDER = 500;

/** An event in a few words. */
export function summary({ kind, data }: Event): string {
  const text = (name: string) => (data[name] == null ? "" : String(data[name]));
  if (kind === "webhook") {
    const attempt = data as unknown as Attempt;
    return `${attempt.status ?? attempt.error}: ${attempt.method} ${attempt.url} in ${attempt.duration_ms} ms`;
  }
  if (kind.startsWith("job.")) {
    return `${text("last_error")} (${text("queue")}, attempt ${text("attempt")})`;
  }
  if (kind === "alert") return `${text("code")} ${text("message")}`;
  if (data.from || data.to) return `${text("from")} → ${text("to")}  ${text("body")}`;
  const words = Object.entries(data).filter(([, value]) => typeof value !== "object");
  return words.map(([name, value]) => `${name} ${value}`).join(", ");
}

/** What an event looks like: a webhook by its answer, others by their kind. */
export function mood({ kind, data }: Event): string | undefined {
  if (kind !== "webhook") return undefined;
  const status = data.status as number | null;
  return status !== null && status < 400 ? "good" : "bad";
}

const family = (kind: string) => kind.split(".")[0] ?? kind;

export function Activity() {
  const go = useNavigate();
  const search = useSearch({ strict: false });
  const { events } = useLive();
  const [older, setOlder] = useState<Event[]>([]);
  const [atStart, setAtStart] = useState(false);
  const text = useDeferredValue((search.text ?? "").toLowerCase());
  const all = useMemo(() => {
    const first = events[0]?.seq ?? Number.POSITIVE_INFINITY;
    return [...older.filter(({ seq }) => seq < first), ...events];
  }, [older, events]);
  const kinds = useMemo(() => [...new Set(all.map(({ kind }) => family(kind)))].sort(), [all]);
  const shown = useMemo(() => {
    const fits = (event: Event) =>
      (!search.kind || family(event.kind) === search.kind) &&
      (!text ||
        `${event.kind} ${event.sid} ${event.account_sid} ${JSON.stringify(event.data)}`
          .toLowerCase()
          .includes(text));
    return all.filter(fits).toReversed();
  }, [all, search.kind, text]);

  const place = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => place.current,
    estimateSize: () => LINE,
    getItemKey: (index) => shown[index]?.seq ?? index,
    overscan: 12,
  });
  const narrow = (change: Record<string, string | undefined>) => {
    const next: Record<string, string> = {};
    for (const [name, value] of Object.entries({ ...search, ...change })) {
      if (typeof value === "string" && value) next[name] = value;
    }
    void go({ to: "/console/activity", search: next, replace: true });
  };
  const more = async () => {
    const before = all[0]?.seq ?? Number.MAX_SAFE_INTEGER;
    const { events: read } = await own<Answer<"/events">>(
      `/events?before=${before}&limit=${OLDER}`,
    );
    setAtStart(read.length < OLDER);
    setOlder([...read, ...older]);
  };
  return (
    <div className={search.sid ? "split open" : "split"}>
      <section className="panel">
        <header>
          <h1>Activity</h1>
          <select
            aria-label="Kind"
            value={search.kind ?? ""}
            onChange={(event) => narrow({ kind: event.target.value })}
          >
            <option value="">every kind</option>
            {[...new Set([...kinds, ...(search.kind ? [search.kind] : [])])].map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
          <TextField value={search.text ?? ""} onChange={(value) => narrow({ text: value })}>
            <Label className="unseen">Text, number or SID</Label>
            <Input placeholder="Text, number, SID, code…" />
          </TextField>
          <span className="hint">{shown.length} events</span>
        </header>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
        <div className="scroll" ref={place} tabIndex={0} role="region" aria-label="Events">
          <div className="lines" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map((row) => {
              const event = shown[row.index];
              if (!event) return null;
              return (
                <button
                  type="button"
                  key={row.key}
                  className="line"
                  aria-pressed={event.sid === search.sid}
                  style={{ transform: `translateY(${row.start}px)`, height: LINE }}
                  onClick={() => narrow({ sid: event.sid })}
                >
                  <At time={event.at} />
                  <span className="kind">
                    {" "}
                    <Badge {...(mood(event) ? { as: mood(event) as string } : {})}>
                      {event.kind}
                    </Badge>
                  </span>
                  <span className="what">
                    <Inert text={summary(event)} />
                  </span>
                </button>
              );
            })}
          </div>
          {shown.length === 0 ? <Empty>Nothing has happened that fits.</Empty> : null}
        </div>
        <footer>
          {atStart || (all[0]?.seq ?? 1) === 1 ? (
            <span className="hint">That is everything.</span>
          ) : (
            <Button className="quiet" onPress={more}>
              Older events
            </Button>
          )}
        </footer>
      </section>
      {search.sid ? <Detail sid={search.sid} close={() => narrow({ sid: undefined })} /> : null}
    </div>
  );
}

/** The resource's events, read again whenever one more of it is seen. */
function Detail({ sid, close }: { sid: string; close: () => void }) {
  const { events } = useLive();
  const newest = events.findLast((event) => event.sid === sid)?.seq ?? 0;
  const timeline = useQuery({
    queryKey: ["timeline", sid, newest],
    queryFn: () => own<Answer<"/events">>(`/events?sid=${sid}&after=0&limit=1000`),
    placeholderData: (before, query) => (query?.queryKey[1] === sid ? before : undefined),
  });
  return (
    <Timeline sid={sid} events={timeline.data?.events ?? []} error={timeline.error} close={close} />
  );
}
