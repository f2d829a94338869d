/** Kinds of harm and of reports, as words. */
import { Harm, ReportReason } from "../../../../sdk/src/protocol";
import { say } from "./words";

const HARMS = {
  [Harm.TOXIC]: "harm.toxic",
  [Harm.HATE]: "harm.hate",
  [Harm.INSULT]: "harm.insult",
  [Harm.THREAT]: "harm.threat",
  [Harm.SEXUAL]: "harm.sexual",
  [Harm.SELF_HARM]: "harm.selfHarm",
  [Harm.SPAM]: "harm.spam",
  [Harm.PERSONAL]: "harm.personal",
} as const;

const REASONS = {
  [ReportReason.SPAM]: "harm.spam",
  [ReportReason.HARASSMENT]: "harm.harassment",
  [ReportReason.HATE]: "harm.hate",
  [ReportReason.VIOLENCE]: "harm.threat",
  [ReportReason.SEXUAL]: "harm.sexual",
  [ReportReason.SELF_HARM]: "harm.selfHarm",
  [ReportReason.DECEIT]: "harm.deceit",
  [ReportReason.PRIVACY]: "harm.personal",
} as const;

export function harm(kind: number): string {
  return say(HARMS[kind as keyof typeof HARMS] ?? "harm.unknown");
}

export function reportReason(reason: number): string {
  return say(REASONS[reason as keyof typeof REASONS] ?? "harm.unknown");
}
