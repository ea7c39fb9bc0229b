"""A training run that can be killed at any moment and started again: python resumable_run.py loop|fit FOLDER EPOCHS.

Both ways of training depend on all that a checkpoint must bring back: dropout, batch statistics, shuffling, the
moments of Adam, a learning rate that changes, and callbacks that count. At the end the file "result" holds everything.
"""

import os
import sys

import nncore
from nncore import nn, optim
from nncore.io import load_checkpoint, save_checkpoint
from nncore.training.callbacks import CSVLogger, EarlyStopping, LambdaCallback, ReduceLROnPlateau


def network():
    return nn.Sequential(
        nn.Linear(64, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(32, 16),
        nn.Tanh(),
        nn.Linear(16, 10),
    )


def data():
    images, labels = nncore.datasets.load_digits()
    return images[:200].reshape(200, 64) / 16, labels[:200]


def train_by_loop(folder, epochs):
    path = os.path.join(folder, "checkpoint.safetensors")
    x, y = map(nncore.from_numpy, data())
    nncore.manual_seed(11)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.7)
    begin, log = 0, []
    if os.path.exists(path):
        saved = load_checkpoint(path, model, optimizer, scheduler)
        begin, log = saved["epoch"], saved["log"]
    print("started", flush=True)
    for epoch in range(begin, epochs):
        order = nncore.randperm(len(x))
        for start in range(0, len(x), 32):
            batch = order[start : start + 32]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            log.append(loss.item())
        scheduler.step()
        save_checkpoint(path, model, optimizer, scheduler, epoch + 1, log=log)
    return {"log": log, "rng": nncore.get_rng_state(), "lr": scheduler.get_last_lr(), **state(model, optimizer)}


def train_by_fit(folder, epochs):
    path, log = os.path.join(folder, "checkpoint.safetensors"), os.path.join(folder, "log.csv")
    x, y = data()
    nncore.manual_seed(11)
    model = nncore.Model(network())
    model.compile(optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss(), ["accuracy"])
    if os.path.exists(path):
        model.load_checkpoint(path)
    print("started", flush=True)
    callbacks = [
        ReduceLROnPlateau("val_loss", factor=0.5, patience=2),
        EarlyStopping("val_loss", patience=50),
        CSVLogger(log, append=model.epoch > 0),
        LambdaCallback(on_epoch_end=lambda epoch, logs: model.save_checkpoint(path)),
    ]
    validation = x[160:], y[160:]
    model.fit(
        x[:160],
        y[:160],
        epochs=epochs,
        initial_epoch=model.epoch,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )
    with open(log, encoding="utf-8") as file:
        return {"log": file.read(), "rng": nncore.get_rng_state(), **state(model, model.optimizer)}


def state(model, optimizer):
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


if __name__ == "__main__":
    mode, folder, epochs = sys.argv[1:]
    result = {"loop": train_by_loop, "fit": train_by_fit}[mode](folder, int(epochs))
    nncore.save(result, os.path.join(folder, "result.safetensors"))
