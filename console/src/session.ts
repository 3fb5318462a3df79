// Who looks on, and what the role may do.

import { useQuery } from "@tanstack/react-query";
import { loadSession, type Need, type Session } from "./api";

export const SESSION = ["session"];

export const useSession = () =>
  useQuery({ queryKey: SESSION, queryFn: loadSession, staleTime: Number.POSITIVE_INFINITY });

/** Whether the role may; nobody may before it is known. */
export function useMay(need: Need): boolean {
  return useSession().data?.may.includes(need) ?? false;
}

/** Whether a view is for the role. */
export const sees = (session: Session | undefined, need: Need | "bodies") =>
  need === "bodies" ? (session?.sees_bodies ?? false) : (session?.may.includes(need) ?? false);
