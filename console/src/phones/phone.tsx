// One simulated phone: whose it is, how it behaves, its call, its conversations.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Button, Input, Label, TextField } from "react-aria-components";
import {
  type Answer,
  BEHAVIOURS,
  type Behaviour,
  type Clock,
  type Handset,
  type Line,
  own,
  type Standing,
} from "../api";
import { bare } from "../live";
import { useMay } from "../session";
import { Empty, Inert, Problem, pretty } from "../ui";
import { Bubble, type Tapped } from "./bubble";
import { Calls } from "./call";
import { Composer, type Typed } from "./composer";

const THREAD = 200;

/** What a phone does when it is called, and who is heard then; of `by sound` that is judged. */
const WHEN_CALLED: { name: string; words: string; does: Partial<Handset> }[] = [
  { name: "answer", words: "answers", does: { when_called: "answer", answered_by: "human" } },
  {
    name: "machine",
    words: "a machine answers",
    does: { when_called: "answer", answered_by: "machine" },
  },
  { name: "fax", words: "a fax answers", does: { when_called: "answer", answered_by: "fax" } },
  {
    name: "answer-by-sound",
    words: "answers, judged by sound",
    does: { when_called: "answer", answered_by: "somebody" },
  },
  { name: "ring", words: "rings", does: { when_called: "ring", answered_by: "human" } },
  {
    name: "ring-by-sound",
    words: "rings, judged by sound",
    does: { when_called: "ring", answered_by: "somebody" },
  },
  { name: "busy", words: "is busy", does: { when_called: "busy" } },
  { name: "reject", words: "rejects", does: { when_called: "reject" } },
];

function whenCalled(handset: Handset | undefined): string {
  const fits = ({ does }: (typeof WHEN_CALLED)[number]) =>
    does.when_called === handset?.when_called &&
    (does.answered_by ?? handset?.answered_by) === handset?.answered_by;
  const found = WHEN_CALLED.find(fits);
  return found?.name ?? handset?.when_called ?? "answer";
}

const at = (number: string, rest = "") => `/handsets/${encodeURIComponent(number)}${rest}`;

/** Peers by their latest line, newest first. */
const peersOf = (lines: Line[]) => [...new Set(lines.map((line) => line.peer))];

/** Whoever it is, as a person would call them. */
function peerName(peer: string): string {
  const channel = peer.includes(":") ? peer.slice(0, peer.indexOf(":")) : "";
  return channel === "whatsapp" ? `WhatsApp ${pretty(bare(peer))}` : pretty(peer);
}

export function Phone({ number, onClose }: { number: string; onClose?: () => void }) {
  const client = useQueryClient();
  const mayAct = useMay("change");
  const handset = useQuery({
    queryKey: ["handsets", number],
    queryFn: () => own<Handset>(at(number)),
  });
  // Newest first, as it is told.
  const thread = useQuery({
    queryKey: ["thread", number],
    queryFn: () =>
      own<Answer<"/handsets/{number}/messages">>(at(number, `/messages?limit=${THREAD}`)),
  });
  const standing = useQuery({
    queryKey: ["thread", number, "standing"],
    queryFn: () => own<Standing>(at(number, "/standing")),
  });
  const [chosen, setChosen] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const lines = thread.data?.messages ?? [];
  const peers = peersOf(lines);
  const peer = chosen ?? peers[0] ?? "";
  const shown = lines.filter((line) => line.peer === peer).toReversed();
  const unread = shown.some((l) => l.direction === "received" && !l.read && peer.includes(":"));

  const act = async (what: () => Promise<unknown>) => {
    try {
      await what();
      setError(null);
      await client.invalidateQueries({ queryKey: ["thread", number] });
      await client.invalidateQueries({ queryKey: ["handsets"] });
      return true;
    } catch (failure) {
      setError(failure);
      return false;
    }
  };
  const send = (typed: Typed) =>
    act(() => own(at(number, "/messages"), "POST", { to: peer, ...typed }));
  const tap = (tapped: Tapped) => void send(tapped);
  const name = handset.data?.name;
  const label = name ? `${name}, ${number}` : number;
  return (
    <article className="phone" aria-label={`Phone ${label}`}>
      <header>
        <div>
          <Name
            value={name ?? ""}
            number={number}
            save={(value) => void act(() => own(at(number), "PUT", { name: value }))}
          />
          <small>{pretty(number)}</small>
        </div>
        <select
          aria-label={`When ${number} is called`}
          value={whenCalled(handset.data)}
          disabled={!mayAct}
          onChange={(event) => {
            const one = WHEN_CALLED.find(({ name }) => name === event.target.value);
            void act(() => own(at(number), "PUT", one?.does));
          }}
        >
          {WHEN_CALLED.map(({ name, words }) => (
            <option key={name} value={name}>
              {words}
            </option>
          ))}
        </select>
        <select
          aria-label={`Behaviour of ${number}`}
          value={handset.data?.behaviour ?? "on"}
          disabled={!mayAct}
          onChange={(event) => {
            const behaviour = event.target.value as Behaviour;
            void act(() => own(at(number), "PUT", { behaviour }));
          }}
        >
          {BEHAVIOURS.map((behaviour) => (
            <option key={behaviour}>{behaviour}</option>
          ))}
        </select>
        {onClose ? (
          <Button className="quiet" aria-label={`Close ${number}`} onPress={onClose}>
            ✕
          </Button>
        ) : null}
      </header>
      {peers.length > 1 || chosen === "" ? (
        <div className="peers" role="group" aria-label="Conversations">
          {peers.map((one) => (
            <button
              type="button"
              key={one}
              aria-pressed={one === peer}
              onClick={() => setChosen(one === peers[0] ? null : one)}
            >
              <Inert text={peerName(one)} />
            </button>
          ))}
        </div>
      ) : null}
      <Facts peer={peer} standing={standing.data} />
      <Calls number={number} at={(rest) => at(number, rest)} mayAct={mayAct} />
      <Thread lines={shown} onTap={tap} />
      <Problem error={error ?? thread.error} />
      {unread && mayAct ? (
        <Button
          className="quiet seen"
          onPress={() => void act(() => own(at(number, "/read"), "POST"))}
        >
          Look at it: two blue ticks
        </Button>
      ) : null}
      {mayAct ? <Composer peer={peer} peers={peers} onPeer={setChosen} onSend={send} /> : null}
    </article>
  );
}

/** The newest line stays in sight, unless somebody scrolled up to read. */
function Thread({ lines, onTap }: { lines: Line[]; onTap: (tapped: Tapped) => void }) {
  const place = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const newest = lines.at(-1)?.sid;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new line is what moves it
  useEffect(() => {
    const list = place.current;
    if (list && atEnd.current) list.scrollTop = list.scrollHeight;
  }, [newest]);
  return (
    <div
      className="thread"
      ref={place}
      role="log"
      aria-label="Messages"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
      tabIndex={0}
      onScroll={({ currentTarget: list }) => {
        atEnd.current = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
      }}
    >
      {lines.map((line) => (
        <Bubble key={line.sid} line={line} onTap={onTap} />
      ))}
      {lines.length === 0 ? <Empty>Nothing said yet.</Empty> : null}
    </div>
  );
}

/** What stands between the two: an opt-out, the window of WhatsApp. */
function Facts({ peer, standing }: { peer: string; standing: Standing | undefined }) {
  const clock = useQuery({
    queryKey: ["clock"],
    queryFn: () => own<Clock>("/clock"),
    refetchInterval: 30_000,
  });
  if (!standing || !peer) return null;
  const now = clock.data ? Date.parse(clock.data.now) : Date.now();
  const window_ = standing.windows.find(({ sender }) => sender === peer || sender === bare(peer));
  const left = window_ ? Date.parse(window_.ends) - now : 0;
  const onPeer = peer.startsWith("whatsapp:");
  const out = standing.opt_outs.filter(({ address }) => address.startsWith("whatsapp:") === onPeer);
  return (
    <p className="facts">
      {out.map(({ scope, account_sid }) => (
        <span key={account_sid + scope} className="badge bad" title={`Scope: ${scope}`}>
          opted out{scope === peer || scope === bare(peer) ? "" : ` of ${scope}`}
        </span>
      ))}
      {onPeer ? (
        <span className={`badge ${left > 0 ? "good" : "plain"}`}>
          {left > 0 ? `window open, ${remaining(left)}` : "window closed: templates only"}
        </span>
      ) : null}
    </p>
  );
}

function remaining(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function Name(props: { value: string; number: string; save: (value: string) => void }) {
  const [text, setText] = useState<string | null>(null);
  if (text === null) {
    return (
      <Button className="name" onPress={() => setText(props.value)}>
        {props.value ? <Inert text={props.value} /> : "Name this phone"}
      </Button>
    );
  }
  const done = () => {
    if (text !== props.value) props.save(text);
    setText(null);
  };
  return (
    <TextField value={text} onChange={setText} maxLength={64} autoFocus>
      <Label className="unseen">Name</Label>
      <Input
        onBlur={done}
        onKeyDown={(event) => {
          if (event.key === "Enter") done();
          if (event.key === "Escape") setText(null);
        }}
      />
    </TextField>
  );
}
