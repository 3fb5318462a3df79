// The call screen of a phone: it rings, is answered, hears, presses keys and speaks.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { type Answer, type Call, type Heard, loadEnv, own } from "../api";
import { At, Inert, Problem, pretty } from "../ui";
import { Sound } from "./sound";

const SHOWN = 10;
/** How often a call that goes on is read: what is heard has no events. */
const LIVE_MS = 500;
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const WORDS: Record<string, string> = {
  placed: "Calling",
  ringing: "Ringing",
  "in-progress": "On the phone",
  ended: "Ended",
};

interface Props {
  number: string;
  /** Where the phone is in the API. */
  at: (rest: string) => string;
  mayAct: boolean;
}

const isOver = (call: Call) => call.status === "ended";

export function Calls({ number, at, mayAct }: Props) {
  const client = useQueryClient();
  const calls = useQuery({
    queryKey: ["thread", number, "calls"],
    queryFn: () => own<Answer<"/handsets/{number}/calls">>(at(`/calls?limit=${SHOWN}`)),
    refetchInterval: ({ state }) =>
      state.data?.calls.some((one) => !isOver(one)) ? LIVE_MS : false,
  });
  const [error, setError] = useState<unknown>(null);
  const act = async (path: string, body?: object) => {
    try {
      await own(at(path), "POST", body);
      setError(null);
    } catch (failure) {
      setError(failure);
    }
    await client.invalidateQueries({ queryKey: ["thread", number, "calls"] });
  };
  const all = calls.data?.calls ?? [];
  const live = all.find((one) => !isOver(one));
  const over = all.filter(isOver);
  return (
    <div className="calls">
      {live ? (
        <Screen call={live} at={at} act={act} mayAct={mayAct} />
      ) : mayAct ? (
        <Dial act={act} />
      ) : null}
      <Problem error={error ?? calls.error} />
      {over.length > 0 ? (
        <details className="past">
          <summary>{over.length === 1 ? "1 call" : `${over.length} calls`} before</summary>
          {over.map((one) => (
            <section key={one.sid}>
              <Heading call={one} />
              <Lines heard={one.heard} />
            </section>
          ))}
        </details>
      ) : null}
    </div>
  );
}

function Dial({ act }: { act: (path: string, body?: object) => void }) {
  const [to, setTo] = useState("");
  const env = useQuery({
    queryKey: ["env"],
    queryFn: loadEnv,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Form
      className="row dial"
      onSubmit={(event) => {
        event.preventDefault();
        act("/calls", to.trim() ? { to: to.trim() } : {});
      }}
    >
      <TextField value={to} onChange={setTo}>
        <Label className="unseen">Number to call</Label>
        <Input placeholder={env.data?.phone_number ?? "+1…"} inputMode="tel" />
      </TextField>
      <Button type="submit">Call</Button>
    </Form>
  );
}

function Heading({ call }: { call: Call }) {
  const whom = call.direction === "incoming" ? "from" : "to";
  return (
    <h3>
      {WORDS[call.status]} {whom} <Inert text={pretty(call.peer)} />{" "}
      <small>
        <Link to="/console/activity" search={{ sid: call.sid }}>
          <At time={call.began} />
        </Link>
      </small>
    </h3>
  );
}

interface ScreenProps {
  call: Call;
  at: (rest: string) => string;
  act: (path: string, body?: object) => void;
  mayAct: boolean;
}

function Screen({ call, at, act, mayAct }: ScreenProps) {
  const rings = call.status === "ringing" && call.direction === "incoming";
  const talks = call.status === "in-progress";
  return (
    <section className={rings ? "call rings" : "call"} aria-label={`Call ${call.peer}`}>
      <Heading call={call} />
      <Lines heard={call.heard} isLive />
      {mayAct ? (
        <>
          {talks ? <Keypad act={act} /> : null}
          {talks ? <Speak act={act} /> : null}
          {talks ? <Sound key={call.sid} place={at(`/calls/${call.sid}/sound`)} /> : null}
          <div className="row">
            {rings ? <Button onPress={() => act("/answer")}>Answer</Button> : null}
            {rings ? (
              <Button className="danger" onPress={() => act("/reject")}>
                Reject
              </Button>
            ) : (
              <Button className="danger" onPress={() => act("/hangup")}>
                Hang up
              </Button>
            )}
          </div>
        </>
      ) : null}
    </section>
  );
}

function Keypad({ act }: { act: (path: string, body?: object) => void }) {
  return (
    <div className="keypad" role="group" aria-label="Keypad">
      {KEYS.map((key) => (
        <Button key={key} aria-label={`Key ${key}`} onPress={() => act("/digits", { digits: key })}>
          {key}
        </Button>
      ))}
    </div>
  );
}

function Speak({ act }: { act: (path: string, body?: object) => void }) {
  const [text, setText] = useState("");
  return (
    <Form
      className="row"
      onSubmit={(event) => {
        event.preventDefault();
        if (!text.trim()) return;
        act("/speak", { text });
        setText("");
      }}
    >
      <TextField value={text} onChange={setText} maxLength={1000}>
        <Label className="unseen">Say</Label>
        <Input placeholder="Say something" />
      </TextField>
      <Button type="submit">Say</Button>
    </Form>
  );
}

const length = (milliseconds: number | null) =>
  milliseconds === null ? "" : `${(milliseconds / 1000).toFixed(1)} s`;

/** What was heard and done, oldest first; the newest line stays in sight. */
function Lines({ heard, isLive }: { heard: Heard[]; isLive?: boolean }) {
  const place = useRef<HTMLOListElement>(null);
  const count = heard.length;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new line is what moves it
  useEffect(() => {
    const list = place.current;
    if (list && isLive) list.scrollTop = list.scrollHeight;
  }, [count]);
  if (count === 0) return null;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <ol className="heard" ref={place} tabIndex={0} aria-label="Heard">
      {heard.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines are only added at the end
        <li key={index} className={line.sound}>
          <small>{line.sound}</small> <Inert text={line.text} />{" "}
          <small>
            {length(line.milliseconds)}
            {line.cut ? ", cut" : ""}
          </small>
        </li>
      ))}
    </ol>
  );
}
