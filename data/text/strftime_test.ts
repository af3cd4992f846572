import assert from "node:assert/strict";
import { strftime } from "./strftime.ts";

Deno.test("strftime() follows Python's directives and leaves unknown ones alone", () => {
  // datetime(2026, 3, 5, 14, 7, 9).strftime(...)
  const date = new Date(2026, 2, 5, 14, 7, 9);
  assert.equal(strftime(date, "%d %b %Y"), "05 Mar 2026");
  assert.equal(strftime(date, "%A %a %B %-d %y %m"), "Thursday Thu March 5 26 03");
  assert.equal(strftime(date, "%H:%M:%S %I%p 100%% %Q"), "14:07:09 02PM 100% %Q");
});

Deno.test("strftime() knows glibc's flags, widths, weeks and composite directives", () => {
  const date = new Date(2026, 10, 21, 9, 5, 3, 42);
  assert.equal(
    strftime(date, "%c|%x|%X|%F|%r|%e|%k|%l"),
    "Sat Nov 21 09:05:03 2026|11/21/26|09:05:03|2026-11-21|09:05:03 AM|21| 9| 9",
  );
  assert.equal(strftime(date, "%j|%U|%W|%V|%G|%g|%u|%w|%C"), "325|46|46|47|2026|26|6|6|20");
  assert.equal(
    strftime(date, "%-j|%_H|%^a|%#p|%05d|%10A|%f|%z%Z"),
    "325| 9|SAT|am|00021|  Saturday|042000|",
  );
  // The first of January 2027 is a Friday, in the last week of 2026 by ISO 8601.
  assert.equal(strftime(new Date(2027, 0, 1), "%G-W%V-%u %U %W"), "2026-W53-5 00 00");
});

// datetime(…).strftime(…) of Python 3.11 on Linux.
const FORMATS = [
  "%a %A %b %B %h",
  "%C %d %e %g %G",
  "%H %I %j %k %l",
  "%m %M %p %P %S",
  "%u %U %V %w %W",
  "%y %Y %n%t%%",
  "%c",
  "%D %F %r %R %T %x %X",
  "%-d %-m %-H %-I %-j %-M %-S %-y %-k %-l %-e",
  "%_d %_m %_H %_j %_Y %_C",
  "%0e %0k %0l %0d",
  "%^a %^A %^b %^B %^h %^p %^P",
  "%#a %#A %#b %#B %#p %#P",
  "%5d %3m %8Y %10j %2Y",
  "%10A %-10A %_10A %010A %^10a",
  "%-5d %_5d %05d %-3j",
  "%Ed %OH %Ey %EY %Od %Ec %EH %OY",
  "%5c|%25c|%#c|%^c",
  "%12F %_12F %012F",
  "%f %z%Z",
  "%Q %i %! %",
  "%^#a %#^a %-^a %^-a %_-d %-_d",
  "%5n|%5t|%5%|%-%",
  "%3u %_w %-w %-u",
  "%10D %#x %^r %5p %-p %_p %0p %5P",
  "%100d",
] as const;
const TEXTS: readonly (readonly [Date, ...string[]])[] = [
  [
    new Date(2026, 2, 5, 14, 7, 9, 42),
    "Thu Thursday Mar March Mar",
    "20 05  5 26 2026",
    "14 02 064 14  2",
    "03 07 PM pm 09",
    "4 09 10 4 09",
    "26 2026 \n\t%",
    "Thu Mar  5 14:07:09 2026",
    "03/05/26 2026-03-05 02:07:09 PM 14:07 14:07:09 03/05/26 14:07:09",
    "5 3 14 2 64 7 9 26 14 2 5",
    " 5  3 14  64 2026 20",
    "05 14 02 05",
    "THU THURSDAY MAR MARCH MAR PM pm",
    "THU THURSDAY MAR MARCH pm pm",
    "00005 003 00002026 0000000064 2026",
    "  Thursday   Thursday   Thursday 00Thursday        THU",
    "    5     5 00005  64",
    "%Ed 14 26 2026 05 Thu Mar  5 14:07:09 2026 %EH %OY",
    "Thu Mar  5 14:07:09 2026| Thu Mar  5 14:07:09 2026|Thu Mar  5 14:07:09 2026|THU MAR  5 14:07:09 2026",
    "  2026-03-05   2026-03-05 002026-03-05",
    "042000 ",
    "%Q %i %! %",
    "THU THU THU THU 5  5",
    "    \n|    \t|    %|%",
    "004 4 4 4",
    "  03/05/26 03/05/26 02:07:09 PM    PM PM PM PM    pm",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000005",
  ],
  [
    new Date(2026, 10, 21, 9, 5, 3, 0),
    "Sat Saturday Nov November Nov",
    "20 21 21 26 2026",
    "09 09 325  9  9",
    "11 05 AM am 03",
    "6 46 47 6 46",
    "26 2026 \n\t%",
    "Sat Nov 21 09:05:03 2026",
    "11/21/26 2026-11-21 09:05:03 AM 09:05 09:05:03 11/21/26 09:05:03",
    "21 11 9 9 325 5 3 26 9 9 21",
    "21 11  9 325 2026 20",
    "21 09 09 21",
    "SAT SATURDAY NOV NOVEMBER NOV AM am",
    "SAT SATURDAY NOV NOVEMBER am am",
    "00021 011 00002026 0000000325 2026",
    "  Saturday   Saturday   Saturday 00Saturday        SAT",
    "   21    21 00021 325",
    "%Ed 09 26 2026 21 Sat Nov 21 09:05:03 2026 %EH %OY",
    "Sat Nov 21 09:05:03 2026| Sat Nov 21 09:05:03 2026|Sat Nov 21 09:05:03 2026|SAT NOV 21 09:05:03 2026",
    "  2026-11-21   2026-11-21 002026-11-21",
    "000000 ",
    "%Q %i %! %",
    "SAT SAT SAT SAT 21 21",
    "    \n|    \t|    %|%",
    "006 6 6 6",
    "  11/21/26 11/21/26 09:05:03 AM    AM AM AM AM    am",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000021",
  ],
  [
    new Date(2027, 0, 1, 0, 0, 0, 0),
    "Fri Friday Jan January Jan",
    "20 01  1 26 2026",
    "00 12 001  0 12",
    "01 00 AM am 00",
    "5 00 53 5 00",
    "27 2027 \n\t%",
    "Fri Jan  1 00:00:00 2027",
    "01/01/27 2027-01-01 12:00:00 AM 00:00 00:00:00 01/01/27 00:00:00",
    "1 1 0 12 1 0 0 27 0 12 1",
    " 1  1  0   1 2027 20",
    "01 00 12 01",
    "FRI FRIDAY JAN JANUARY JAN AM am",
    "FRI FRIDAY JAN JANUARY am am",
    "00001 001 00002027 0000000001 2027",
    "    Friday     Friday     Friday 0000Friday        FRI",
    "    1     1 00001   1",
    "%Ed 00 27 2027 01 Fri Jan  1 00:00:00 2027 %EH %OY",
    "Fri Jan  1 00:00:00 2027| Fri Jan  1 00:00:00 2027|Fri Jan  1 00:00:00 2027|FRI JAN  1 00:00:00 2027",
    "  2027-01-01   2027-01-01 002027-01-01",
    "000000 ",
    "%Q %i %! %",
    "FRI FRI FRI FRI 1  1",
    "    \n|    \t|    %|%",
    "005 5 5 5",
    "  01/01/27 01/01/27 12:00:00 AM    AM AM AM AM    am",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
  ],
  [
    new Date(2024, 11, 31, 23, 59, 59, 999),
    "Tue Tuesday Dec December Dec",
    "20 31 31 25 2025",
    "23 11 366 23 11",
    "12 59 PM pm 59",
    "2 52 01 2 53",
    "24 2024 \n\t%",
    "Tue Dec 31 23:59:59 2024",
    "12/31/24 2024-12-31 11:59:59 PM 23:59 23:59:59 12/31/24 23:59:59",
    "31 12 23 11 366 59 59 24 23 11 31",
    "31 12 23 366 2024 20",
    "31 23 11 31",
    "TUE TUESDAY DEC DECEMBER DEC PM pm",
    "TUE TUESDAY DEC DECEMBER pm pm",
    "00031 012 00002024 0000000366 2024",
    "   Tuesday    Tuesday    Tuesday 000Tuesday        TUE",
    "   31    31 00031 366",
    "%Ed 23 24 2024 31 Tue Dec 31 23:59:59 2024 %EH %OY",
    "Tue Dec 31 23:59:59 2024| Tue Dec 31 23:59:59 2024|Tue Dec 31 23:59:59 2024|TUE DEC 31 23:59:59 2024",
    "  2024-12-31   2024-12-31 002024-12-31",
    "999000 ",
    "%Q %i %! %",
    "TUE TUE TUE TUE 31 31",
    "    \n|    \t|    %|%",
    "002 2 2 2",
    "  12/31/24 12/31/24 11:59:59 PM    PM PM PM PM    pm",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000031",
  ],
  [
    new Date(2024, 1, 29, 12, 0, 1, 500),
    "Thu Thursday Feb February Feb",
    "20 29 29 24 2024",
    "12 12 060 12 12",
    "02 00 PM pm 01",
    "4 08 09 4 09",
    "24 2024 \n\t%",
    "Thu Feb 29 12:00:01 2024",
    "02/29/24 2024-02-29 12:00:01 PM 12:00 12:00:01 02/29/24 12:00:01",
    "29 2 12 12 60 0 1 24 12 12 29",
    "29  2 12  60 2024 20",
    "29 12 12 29",
    "THU THURSDAY FEB FEBRUARY FEB PM pm",
    "THU THURSDAY FEB FEBRUARY pm pm",
    "00029 002 00002024 0000000060 2024",
    "  Thursday   Thursday   Thursday 00Thursday        THU",
    "   29    29 00029  60",
    "%Ed 12 24 2024 29 Thu Feb 29 12:00:01 2024 %EH %OY",
    "Thu Feb 29 12:00:01 2024| Thu Feb 29 12:00:01 2024|Thu Feb 29 12:00:01 2024|THU FEB 29 12:00:01 2024",
    "  2024-02-29   2024-02-29 002024-02-29",
    "500000 ",
    "%Q %i %! %",
    "THU THU THU THU 29 29",
    "    \n|    \t|    %|%",
    "004 4 4 4",
    "  02/29/24 02/29/24 12:00:01 PM    PM PM PM PM    pm",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000029",
  ],
  [
    new Date(2023, 0, 1, 13, 30, 0, 7),
    "Sun Sunday Jan January Jan",
    "20 01  1 22 2022",
    "13 01 001 13  1",
    "01 30 PM pm 00",
    "7 01 52 0 00",
    "23 2023 \n\t%",
    "Sun Jan  1 13:30:00 2023",
    "01/01/23 2023-01-01 01:30:00 PM 13:30 13:30:00 01/01/23 13:30:00",
    "1 1 13 1 1 30 0 23 13 1 1",
    " 1  1 13   1 2023 20",
    "01 13 01 01",
    "SUN SUNDAY JAN JANUARY JAN PM pm",
    "SUN SUNDAY JAN JANUARY pm pm",
    "00001 001 00002023 0000000001 2023",
    "    Sunday     Sunday     Sunday 0000Sunday        SUN",
    "    1     1 00001   1",
    "%Ed 13 23 2023 01 Sun Jan  1 13:30:00 2023 %EH %OY",
    "Sun Jan  1 13:30:00 2023| Sun Jan  1 13:30:00 2023|Sun Jan  1 13:30:00 2023|SUN JAN  1 13:30:00 2023",
    "  2023-01-01   2023-01-01 002023-01-01",
    "007000 ",
    "%Q %i %! %",
    "SUN SUN SUN SUN 1  1",
    "    \n|    \t|    %|%",
    "007 0 0 7",
    "  01/01/23 01/01/23 01:30:00 PM    PM PM PM PM    pm",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
  ],
  [
    new Date(2021, 0, 3, 11, 59, 0, 0),
    "Sun Sunday Jan January Jan",
    "20 03  3 20 2020",
    "11 11 003 11 11",
    "01 59 AM am 00",
    "7 01 53 0 00",
    "21 2021 \n\t%",
    "Sun Jan  3 11:59:00 2021",
    "01/03/21 2021-01-03 11:59:00 AM 11:59 11:59:00 01/03/21 11:59:00",
    "3 1 11 11 3 59 0 21 11 11 3",
    " 3  1 11   3 2021 20",
    "03 11 11 03",
    "SUN SUNDAY JAN JANUARY JAN AM am",
    "SUN SUNDAY JAN JANUARY am am",
    "00003 001 00002021 0000000003 2021",
    "    Sunday     Sunday     Sunday 0000Sunday        SUN",
    "    3     3 00003   3",
    "%Ed 11 21 2021 03 Sun Jan  3 11:59:00 2021 %EH %OY",
    "Sun Jan  3 11:59:00 2021| Sun Jan  3 11:59:00 2021|Sun Jan  3 11:59:00 2021|SUN JAN  3 11:59:00 2021",
    "  2021-01-03   2021-01-03 002021-01-03",
    "000000 ",
    "%Q %i %! %",
    "SUN SUN SUN SUN 3  3",
    "    \n|    \t|    %|%",
    "007 0 0 7",
    "  01/03/21 01/03/21 11:59:00 AM    AM AM AM AM    am",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000003",
  ],
];

Deno.test("strftime() gives Python's text of every directive, flag and width, for dates at their limits", () => {
  for (const [date, ...texts] of TEXTS) {
    assert.deepEqual(FORMATS.map((format) => strftime(date, format)), texts, String(date));
  }
});

Deno.test("strftime() fills years of less than four digits up, and no text beyond 100 characters", () => {
  const date = new Date(2026, 2, 5);
  date.setFullYear(987);
  assert.equal(strftime(date, "%Y %G %C %y %s"), `0987 0987 09 87 ${date.getTime() / 1000}`);
  assert.equal(strftime(date, "%101d").length, 100);
  assert.equal(strftime(new Date(1999), "%s"), "1");
});

Deno.test("strftime() takes the modifiers E and O where the C library takes them", () => {
  const date = new Date(2026, 2, 5, 14, 7, 9);
  assert.equal(
    strftime(
      date,
      "%Ea|%EA|%Eb|%EB|%Ec|%EC|%Ed|%ED|%Ee|%EF|%Eg|%EG|%Eh|%EH|%EI|%Ej|%Ek|%El|%Em|%EM|%En|%Ep|%Er|%ER|%ES|%Et|%ET|%Eu|%EU|%EV|%Ew|%EW|%Ex|%EX|%Ey|%EY|%EP|%Ef|%EQ|%Ei",
    ),
    "%Ea|%EA|%Eb|%EB|Thu Mar  5 14:07:09 2026|20|%Ed|%ED|%Ee|%EF|%Eg|%EG|%Eh|%EH|%EI|%Ej|%Ek|%El|%Em|%EM|\n|PM|02:07:09 PM|14:07|%ES|\t|14:07:09|4|%EU|%EV|%Ew|%EW|03/05/26|14:07:09|26|2026|pm|%Ef|%EQ|%Ei",
  );
  assert.equal(
    strftime(
      date,
      "%Oa|%OA|%Ob|%OB|%Oc|%OC|%Od|%OD|%Oe|%OF|%Og|%OG|%Oh|%OH|%OI|%Oj|%Ok|%Ol|%Om|%OM|%On|%Op|%Or|%OR|%OS|%Ot|%OT|%Ou|%OU|%OV|%Ow|%OW|%Ox|%OX|%Oy|%OY|%OP|%Of|%OQ|%Oi",
    ),
    "%Oa|%OA|Mar|March|%Oc|20|05|%OD| 5|%OF|26|2026|Mar|14|02|064|14| 2|03|07|\n|PM|02:07:09 PM|14:07|09|\t|14:07:09|4|09|10|4|09|%Ox|%OX|26|%OY|pm|%Of|%OQ|%Oi",
  );
});
