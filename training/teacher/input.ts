/** What a teacher reads of a query: the query itself, and what is known of it offline. A student reads the query alone. */
export interface TeacherText {
  /** Normalized query. */
  readonly text: string;
  /** Oracle context: text that exists offline only, such as expansions and clicked titles. */
  readonly context?: string | undefined;
}

/** One line of text for the teacher's tokenizer; a query that is too long loses the end of its context. */
export const teacherInput = ({ text, context }: TeacherText): string => (context ? `${text}. ${context}` : text);
