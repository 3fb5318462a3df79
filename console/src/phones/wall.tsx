// The wall: every simulated phone in a list, some of them side by side.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { Button, Form, Input, Label, TextField, ToggleButton } from "react-aria-components";
import { type Answer, type Env, type Event, type Handset, loadEnv, own } from "../api";
import { bare, useLive } from "../live";
import { useMay } from "../session";
import { Badge, Code, Empty, Inert, Problem, pretty } from "../ui";
import { Phone } from "./phone";

/** Phones that are shown when none was chosen, and that may be. */
const SHOWN = 3;
const OPEN_MAX = 12;

/** Sequence number of the last event that touched each number. */
function touches(events: Event[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { data, seq } of events) {
    for (const address of [data.from, data.to]) {
      if (typeof address === "string") last.set(bare(address), seq);
    }
  }
  return last;
}

export function Phones() {
  const go = useNavigate();
  const { open: openText } = useSearch({ strict: false });
  const { events } = useLive();
  const mayAct = useMay("change");
  const handsets = useQuery({
    queryKey: ["handsets"],
    queryFn: () => own<Answer<"/handsets">>("/handsets"),
  });
  const [search, setSearch] = useState("");
  const sorted = useMemo(() => {
    const last = touches(events);
    const all = handsets.data?.handsets ?? [];
    const at = (handset: Handset) => last.get(handset.number) ?? 0;
    return all.toSorted((a, b) => at(b) - at(a) || a.number.localeCompare(b.number));
  }, [events, handsets.data]);

  const chosen = (openText ?? "").split(",").filter(Boolean).slice(0, OPEN_MAX);
  const open = chosen.length > 0 ? chosen : sorted.slice(0, SHOWN).map(({ number }) => number);
  const choose = (numbers: string[]) =>
    go({ to: "/", search: numbers.length > 0 ? { open: numbers.join(",") } : {} });
  const toggle = (number: string) =>
    choose(chosen.includes(number) ? chosen.filter((n) => n !== number) : [...chosen, number]);

  const wanted = search.toLowerCase();
  const found = sorted.filter(
    ({ number, name }) => number.includes(wanted) || name.toLowerCase().includes(wanted),
  );
  return (
    <div className="phones">
      <h1 className="unseen">Phones</h1>
      <aside aria-label="All phones">
        <TextField aria-label="Search phones" value={search} onChange={setSearch}>
          <Input placeholder="Search phones" />
        </TextField>
        {mayAct ? <NewPhone onMade={(number) => choose([...chosen, number])} /> : null}
        <Problem error={handsets.error} />
        <ul>
          {found.slice(0, 200).map((handset) => (
            <li key={handset.number}>
              <ToggleButton
                isSelected={open.includes(handset.number)}
                onChange={() => toggle(handset.number)}
              >
                <b>{handset.name ? <Inert text={handset.name} /> : pretty(handset.number)}</b>
                <small>{handset.name ? pretty(handset.number) : ""}</small>
                {handset.behaviour === "on" ? null : <Badge as="wait">{handset.behaviour}</Badge>}
              </ToggleButton>
            </li>
          ))}
        </ul>
        {found.length > 200 ? <p className="hint">{found.length - 200} more: search.</p> : null}
      </aside>
      <div className="wall">
        {open.map((number) => (
          <Phone
            key={number}
            number={number}
            {...(chosen.includes(number) ? { onClose: () => toggle(number) } : {})}
          />
        ))}
        {handsets.isSuccess && open.length === 0 ? <Welcome /> : null}
      </div>
    </div>
  );
}

function NewPhone({ onMade }: { onMade: (number: string) => void }) {
  const client = useQueryClient();
  const [number, setNumber] = useState("");
  const [error, setError] = useState<unknown>(null);
  const make = async () => {
    try {
      const path = `/handsets/${encodeURIComponent(number.trim())}`;
      const made = await own<Handset>(path, "PUT", {});
      await client.invalidateQueries({ queryKey: ["handsets"] });
      setNumber("");
      setError(null);
      onMade(made.number);
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Form
      className="row"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <TextField value={number} onChange={setNumber} isRequired>
        <Label className="unseen">Number of a new phone</Label>
        <Input placeholder="+14155550123" inputMode="tel" />
      </TextField>
      <Button type="submit">Add</Button>
      <Problem error={error} />
    </Form>
  );
}

const hello = (env: Env) => `import os
from twilio.rest import Client

message = Client().messages.create(
    to="+14155550123", from_="${env.phone_number}", body="Hello")
print(message.sid, message.status)`;

/** Before the first message: how to send it. */
function Welcome() {
  const env = useQuery({ queryKey: ["env"], queryFn: loadEnv });
  return (
    <Empty>
      <h2>No phone has rung yet</h2>
      <p>
        A message to any number appears here on a phone of its own. Send one from a program that was
        written for Twilio:
      </p>
      {env.data ? <Code text={hello(env.data)} /> : null}
      <Code text="offhook run -- python hello.py" />
      <p>or add a phone on the left and write from it.</p>
    </Empty>
  );
}
