/**
 * The quickstart's data: 32 short medical think/answer records in Chinese and English, embedded so
 * that the first run needs no download. Nothing goes in; out come plain records, 28 to train on and
 * 4 held out, on topics close to trained ones, to evaluate on.
 *
 * The records were written for ortune as material to learn a format from. They are general
 * information and no substitute for a doctor.
 *
 * @module
 */

/** One exchange: what the user asks, how the model reasons, and what it replies. */
export interface QuickstartRecord {
  /** The user's message, one sentence. */
  readonly question: string;
  /** The reasoning that goes between `<think>` and `</think>`, one to three sentences. */
  readonly think: string;
  /** The visible reply, two or three sentences. */
  readonly answer: string;
}

/** The system message of every conversation; the one that Qwen3-Medical-SFT trains with. */
export const systemPrompt: string = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

/** The 28 records to train on, Chinese and English in turn. */
export const trainRecords: readonly QuickstartRecord[] = [
  {
    question:
      "医生，我最近被诊断为糖尿病，听说碳水化合物的选择很重要，我应该选择什么样的碳水化合物呢？",
    think: "用户刚确诊糖尿病，我应说明低升糖、高纤维的选择，并提醒控制总量。",
    answer:
      "建议选全谷物、豆类和蔬菜等低升糖、高纤维的食物，少吃甜食和精制米面。请监测血糖，每餐份量与医生或营养师商定。",
  },
  {
    question: "How can I tell if I am dehydrated?",
    think:
      "Thirst, dark urine and dizziness suggest fluid loss. I should list the signs and say when to get help.",
    answer:
      "Common signs are thirst, dark urine, a dry mouth and dizziness. Drink small amounts often, and see a doctor if you are confused, faint or cannot keep fluids down.",
  },
  {
    question: "我有高血压，平时吃饭要注意什么？",
    think: "高血压和钠摄入关系密切，我应先讲限盐，再提醒测量和用药。",
    answer:
      "每天食盐建议少于5克，少吃咸菜和加工肉，多吃蔬菜。请规律测血压，按医嘱服药，不要自行停药。",
  },
  {
    question: "How should I use my blue asthma inhaler?",
    think:
      "The blue inhaler is a reliever. I should explain how to use it and warn about frequent use.",
    answer:
      "Shake it, breathe out, press as you breathe in slowly, and hold your breath for ten seconds. If you need it often, see a doctor; if it does not help, call emergency services.",
  },
  {
    question: "孩子发烧到38.5度，我在家该怎么处理？",
    think: "发烧多是感染的反应，我要看年龄和精神状态，而不只看体温。",
    answer:
      "让孩子多休息、多喝水，不舒服时可按说明书服对乙酰氨基酚，不要用阿司匹林。若不满三个月、精神差、抽搐或持续高热，请立即就医。",
  },
  {
    question: "Are the side effects of vaccines dangerous?",
    think: "Most reactions are mild and short, but I must mention severe allergy.",
    answer:
      "Most people only have a sore arm, tiredness or a mild fever for a day or two. Serious reactions are rare, so tell the nurse about any past severe allergy.",
  },
  {
    question: "夏天在户外中暑了应该怎么急救？",
    think: "中暑要尽快降温，意识不清提示热射病，我要说明这是急症。",
    answer:
      "先移到阴凉处，解开衣服，用凉水擦身并扇风，清醒时可少量多次喝水。若意识不清、抽搐或体温超过40度，请立即拨打120并持续降温。",
  },
  {
    question: "What should I do about sudden low back pain?",
    think:
      "Most back pain gets better on its own, but I should mention the warning signs of nerve damage.",
    answer:
      "Stay active, use heat, and ask a pharmacist about pain relief. Get urgent help if you have leg weakness, numbness around the groin or trouble passing urine.",
  },
  {
    question: "感冒了要不要吃抗生素？",
    think: "感冒多由病毒引起，抗生素对病毒无效，我要说明滥用会导致耐药。",
    answer:
      "一般不需要，抗生素只对细菌感染有用，感冒以休息和喝水为主。若高热超过三天或呼吸困难，请就医，由医生决定是否用药。",
  },
  {
    question: "How can I cope with a migraine attack?",
    think:
      "Early treatment and rest help, but I must mention that a sudden, severe headache is urgent.",
    answer:
      "Rest in a dark, quiet room and take your usual pain relief early. Call emergency services for a sudden, severe headache, or one with weakness, confusion or fever.",
  },
  {
    question: "治疗胃溃疡的药物主要有哪几类？",
    think: "我按抑酸、保护黏膜和根除幽门螺杆菌来说明，比较清楚。",
    answer:
      "常用的有质子泵抑制剂、H2受体拮抗剂和胃黏膜保护剂，有幽门螺杆菌感染时要联合抗生素根除。具体用药由医生决定，若有黑便或呕血，请立即就医。",
  },
  {
    question: "What are the warning signs of a stroke?",
    think: "I should give the FAST test, because every minute counts in a stroke.",
    answer:
      "Think FAST: the face droops, an arm is weak, speech is slurred, so it is time to call emergency services. Do not wait for the signs to pass, and note when they started.",
  },
  {
    question: "我最近总是失眠，有什么办法改善？",
    think: "失眠多与作息和压力有关，我先建议调整习惯，再说何时就医。",
    answer:
      "请固定起床时间，睡前不看手机，下午不喝咖啡和浓茶，白天适当运动。若持续一个月以上或情绪低落，请看医生，不要自行长期吃安眠药。",
  },
  {
    question: "How do I recognise a heart attack?",
    think: "Chest pressure is typical, but I should mention the other signs too.",
    answer:
      "Look for chest pressure or pain that may spread to the arm, jaw or back, with sweating, nausea or short breath. Call emergency services at once and rest while you wait.",
  },
  {
    question: "长时间看电脑，眼睛酸胀怎么办？",
    think: "近距离用眼会让眼睛持续紧张，眨眼也会减少，所以我建议定时休息。",
    answer:
      "每看20分钟屏幕，就看远处至少20秒，多眨眼，并调好光线和距离。若视力下降、眼痛或怕光，请尽快看眼科。",
  },
  {
    question: "Why does anaemia make me tired?",
    think:
      "Too little haemoglobin means less oxygen. I should say that the cause must be found first.",
    answer:
      "With too few healthy red blood cells, your body gets less oxygen, so you feel tired. Ask your doctor for a blood test before you take iron, because the cause matters.",
  },
  {
    question: "老年人怎样预防骨质疏松？",
    think: "骨量与钙、维生素D和运动有关，我还要提醒预防跌倒。",
    answer:
      "保证钙和维生素D的摄入，适当晒太阳，坚持走路和力量运动，不吸烟，少喝酒。建议问医生是否做骨密度检查，在家注意预防跌倒。",
  },
  {
    question: "How should I clean a small cut at home?",
    think:
      "Clean water and a dressing are enough for a small wound. I must mention infection and tetanus.",
    answer:
      "Press to stop the bleeding, rinse with clean running water and cover it with a clean dressing. See a doctor if it is deep, dirty or has pus, and check your tetanus vaccine.",
  },
  {
    question: "备孕时为什么要吃叶酸？",
    think: "叶酸能降低胎儿神经管缺陷的风险，我要说明吃的时间和剂量。",
    answer:
      "叶酸能预防胎儿神经管缺陷，一般从孕前三个月起每天服0.4毫克，到怀孕满三个月。若生育过有这种缺陷的孩子或正在服抗癫痫药，剂量由医生决定。",
  },
  {
    question: "What should I do for a severe allergic reaction?",
    think: "Swelling or trouble breathing suggests anaphylaxis, so I should put adrenaline first.",
    answer:
      "Use an adrenaline injector at once if there is one, and call emergency services. Lay the person flat, or let them sit if breathing is hard, and do not leave them alone.",
  },
  {
    question: "痛风发作时饮食要注意什么？",
    think: "痛风由尿酸结晶引起，酒和高嘌呤食物会加重，我应说明饮食并提醒就医。",
    answer:
      "不要喝酒和甜饮料，少吃内脏、海鲜和浓肉汤，心肾功能正常时多喝水。急性发作要休息并尽快就医，不要自行停降尿酸药。",
  },
  {
    question: "What can I eat and drink with food poisoning?",
    think: "I should put fluids first, because vomiting and diarrhoea cause dehydration.",
    answer:
      "Take small sips of water or oral rehydration solution, then plain food when you feel ready. See a doctor if there is blood, a high fever, or it lasts more than two days.",
  },
  {
    question: "突然流鼻血应该怎么止血？",
    think: "鼻血多来自鼻腔前部，按压就能止血，我要提醒不要仰头，以免血流入咽喉。",
    answer:
      "请坐下，身体前倾，捏住鼻翼10到15分钟，用嘴呼吸，不要仰头。若超过30分钟不止、出血很多或正在服抗凝药，请立即就医。",
  },
  {
    question: "How do I treat a sprained ankle?",
    think: "I should explain RICE for a mild sprain: rest, ice, compression and elevation.",
    answer:
      "Rest it, use wrapped ice for up to twenty minutes, add a snug bandage and raise the leg. See a doctor if you cannot put weight on it or it looks out of shape.",
  },
  {
    question: "被开水烫伤后第一步该做什么？",
    think: "尽快用流动的凉水降温可以减轻损伤，我要提醒牙膏会增加感染的风险。",
    answer:
      "立即用流动的凉水冲20分钟，取下戒指，再用干净的布盖住。不要涂牙膏，不要挑破水泡，若面积大或伤在面部，请尽快就医。",
  },
  {
    question: "When and how should I start CPR on an adult?",
    think:
      "No response and no normal breathing suggest cardiac arrest, so I should say to start at once.",
    answer:
      "If the person does not respond or breathe normally, call emergency services and start at once. Push hard and fast on the centre of the chest, 100 to 120 times a minute, until help comes.",
  },
  {
    question: "糖尿病患者心慌、手抖、出冷汗怎么办？",
    think: "这些提示低血糖，我应先说补糖，意识不清时不能喂食。",
    answer:
      "清醒时请立即吃15克糖，如半杯果汁，15分钟后测血糖，低于3.9 mmol/L就再吃一次。若意识不清，不要喂食，请立即拨打120。",
  },
  {
    question: "How do I know if I have a urinary tract infection?",
    think: "Burning and a frequent urge are typical. I should warn about kidney infection.",
    answer:
      "Burning, a frequent urge and cloudy urine are common signs, and a urine test can confirm it. See a doctor the same day if you have a fever or back pain, or are pregnant.",
  },
];

/** The 4 records held out for evaluation, two a language. */
export const evalRecords: readonly QuickstartRecord[] = [
  {
    question: "得了糖尿病还可以吃水果吗？",
    think: "水果含糖，但也有纤维，我应说明选择、份量和时间。",
    answer:
      "血糖平稳时可以吃，建议在两餐之间少量吃低升糖的苹果、梨或草莓，不喝果汁。请监测血糖，份量与医生或营养师商定。",
  },
  {
    question: "How do I stop a child with diarrhoea from getting dehydrated?",
    think:
      "A small child loses fluid fast. I should put oral rehydration first and list the signs.",
    answer:
      "Give small sips of oral rehydration solution often, and keep up milk and normal food. See a doctor if the child is drowsy, passes little urine or has blood in the stool.",
  },
  {
    question: "血压正常以后，我可以自行停降压药吗？",
    think: "血压正常多是用药的结果，自行停药会反弹，我应提醒风险。",
    answer:
      "请不要自行停药，停药后血压可能反弹，增加中风的风险。请规律测血压，由医生决定是否减药。",
  },
  {
    question: "How do I know if a small wound is infected?",
    think: "Redness, pus and fever suggest infection. I should say when it is urgent.",
    answer:
      "Look for redness, swelling, pus or more pain around the wound, and see a doctor if you find them. Get urgent help if you have a fever or the redness spreads fast.",
  },
];

/** All 32 records: {@linkcode trainRecords}, then {@linkcode evalRecords}. */
export const records: readonly QuickstartRecord[] = [...trainRecords, ...evalRecords];
