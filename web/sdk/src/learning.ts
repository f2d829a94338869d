/** What learning needs beside records: grading of answers, and when a question comes again. Loaded when a lesson is opened. */
export { isRight, normalise, readings } from "./answers";
export { askedOf, Form, grade, gradeAnswer, type Asked, type Graded } from "./grading";
export { cardOf, fieldsOf, NEW_CARD, Rating, ratingOf, recall, review, type Card } from "./reviews";
