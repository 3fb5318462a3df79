// Everything by keyboard: Ctrl or Cmd with K.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import {
  Autocomplete,
  Button,
  Dialog,
  Input,
  Menu,
  MenuItem,
  Modal,
  ModalOverlay,
  SearchField,
  useFilter,
} from "react-aria-components";
import { type Answer, own, Refusal } from "./api";
import { listsOf, openapi } from "./resources/openapi";
import { VIEWS } from "./router";
import { sees, useSession } from "./session";
import { pretty } from "./ui";

interface Entry {
  id: string;
  name: string;
  hint: string;
  run: () => void;
}

const SID = /^[A-Z]{2}[0-9a-f]{32}$/i;

export function Palette() {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen((open) => !open);
      }
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  return (
    <>
      <Button className="quiet" onPress={() => setOpen(true)}>
        Find <kbd>Ctrl K</kbd>
      </Button>
      <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={setOpen} isDismissable>
        <Modal className="palette">
          <Dialog aria-label="Find and do">
            <Entries close={() => setOpen(false)} />
          </Dialog>
        </Modal>
      </ModalOverlay>
    </>
  );
}

function Entries({ close }: { close: () => void }) {
  const go = useNavigate();
  const client = useQueryClient();
  const { contains } = useFilter({ sensitivity: "base" });
  const [text, setText] = useState("");
  const [said, setSaid] = useState<string | null>(null);
  const handsets = useQuery({
    queryKey: ["handsets"],
    queryFn: () => own<Answer<"/handsets">>("/handsets"),
  });
  const description = useQuery(openapi);
  const session = useSession().data;

  const advance = async (seconds: number) => {
    try {
      await own("/clock", "POST", { advance_seconds: seconds });
      await client.invalidateQueries();
      close();
    } catch (error) {
      setSaid(error instanceof Refusal ? error.message : String(error));
    }
  };
  const entries: Entry[] = [
    ...VIEWS.filter(([, , need]) => sees(session, need)).map(([to, name]) => ({
      id: to,
      name,
      hint: "view",
      run: () => void go({ to }),
    })),
    ...(handsets.data?.handsets ?? []).map((handset) => ({
      id: handset.number,
      name: `${handset.name ? `${handset.name} ` : ""}${pretty(handset.number)} ${handset.number}`,
      hint: "phone",
      run: () => void go({ to: "/", search: { open: handset.number } }),
    })),
    { id: "1h", name: "Advance the clock by an hour", hint: "do", run: () => advance(3600) },
    { id: "24h", name: "Advance the clock by a day", hint: "do", run: () => advance(86_400) },
    ...(description.data ? listsOf(description.data) : []).map((list) => ({
      id: list.path,
      name: `${list.name} (${list.product})`,
      hint: "resource",
      run: () => void go({ to: "/console/resources", search: { at: list.path } }),
    })),
  ];
  const sid = text.trim();
  if (SID.test(sid)) {
    entries.unshift({
      id: "sid",
      name: sid,
      hint: "timeline",
      run: () => void go({ to: "/console/activity", search: { sid } }),
    });
  }
  const stays = new Set(["1h", "24h"]);
  return (
    <Autocomplete inputValue={text} onInputChange={setText} filter={contains}>
      <SearchField aria-label="Find a view, a phone, a resource or a SID" autoFocus>
        <Input placeholder="A view, a phone, a resource, a SID…" />
      </SearchField>
      {said ? (
        <p className="problem" role="alert">
          {said}
        </p>
      ) : null}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <div className="found" tabIndex={0} role="group" aria-label="Found">
        <Menu
          aria-label="What was found"
          items={entries}
          onAction={(key) => {
            entries.find((entry) => entry.id === key)?.run();
            if (!stays.has(String(key))) close();
          }}
          renderEmptyState={() => <p className="empty">Nothing by that name.</p>}
        >
          {(entry) => (
            <MenuItem id={entry.id} textValue={entry.name}>
              {entry.name} <small>{entry.hint}</small>
            </MenuItem>
          )}
        </Menu>
      </div>
    </Autocomplete>
  );
}
